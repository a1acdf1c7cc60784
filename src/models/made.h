/* Weights that had to be made (transposed, put together, decoded), kept in a file so that the next process maps them
 * and all of them share them.
 *
 * The file lies in $TOLA_CACHE, else $XDG_CACHE_HOME/tola, else ~/.cache/tola, and is called after the model and what
 * its files were when the weights were made (path, size, time of change, inode). TOLA_CACHE=off keeps none. Nothing
 * fails because of it: what cannot be used or written is made again. Used is only a file of our own user's in a folder
 * that not everyone may write to. Models of less than MADE_LEAST bytes are not worth a file, and neither is one that
 * would leave less than as much again of the disk free, and what was made of an encrypted model is kept in none. Nothing removes files of models that have gone.
 */
#ifndef MODELS_MADE_H
#define MODELS_MADE_H

#include <tola/checkpoint.h>

#define MADE_LEAST ((uint64_t)32 << 20)

typedef struct made_blocks made_blocks;

tola_status made_open(const tola_checkpoint *ck, made_blocks **out, tola_error *err);
void made_free(made_blocks *m); /* NULL is fine */
/* The next block, made from a tensor (its index in the checkpoint), in the same order each time the same model is
 * opened. *ready: it holds what it held when the file was written; else it is to be filled. NULL where memory is out.
 * Aligned to 64. */
void *made_take(made_blocks *m, size_t tensor, uint64_t bytes, bool *ready, tola_error *err);
/* All blocks are filled: writes the file where there is none, or one that lacks some. */
void made_keep(made_blocks *m);
uint64_t made_bytes(const made_blocks *m); /* of blocks in memory of this process alone */

#endif
