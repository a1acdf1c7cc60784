/* Everything public. */
#ifndef TOLA_TOLA_H
#define TOLA_TOLA_H

#include <tola/adapter.h>
#include <tola/base.h>
#include <tola/chat.h>
#include <tola/checkpoint.h>
#include <tola/comply.h>
#include <tola/embed.h>
#include <tola/encrypt.h>
#include <tola/eval.h>
#include <tola/finetune.h>
#include <tola/fit.h>
#include <tola/insight.h>
#include <tola/json.h>
#include <tola/learn.h>
#include <tola/log.h>
#include <tola/machine.h>
#include <tola/papers.h>
#include <tola/quantize.h>
#include <tola/release.h>
#include <tola/run.h>
#include <tola/sampling.h>
#include <tola/scan.h>
#include <tola/sign.h>
#include <tola/tensor.h>
#include <tola/tokenizer.h>
#include <tola/transform.h>
#include <tola/value.h>

#endif
