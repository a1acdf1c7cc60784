/* The front matter of a model card: YAML that the Hugging Face Hub and huggingface_hub's ModelCardData read
 * (https://github.com/huggingface/hub-docs/blob/main/modelcard.md?plain=1). */
#ifndef POLICY_CARD_H
#define POLICY_CARD_H

#include "policy/form.h"

/* "---\n...---\n" appended to `out`. What is unknown is left out: the Hub has no word for it. */
void card_front_matter(const form *x, buf *out);

#endif
