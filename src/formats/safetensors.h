/* What the reader and the writer of safetensors share. */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#define SAFETENSORS_MAX_HEADER 100000000u /* bytes; the limit of the reference implementation */

#endif
