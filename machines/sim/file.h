/* SPDX-License-Identifier: MIT */
/*
 * file.h - what the readers of fabric files share: positions, values, and the parts that both forms
 * of the file have.
 */
#ifndef SIM_FILE_H
#define SIM_FILE_H

#include "fabric.h"
#include "report.h"

/* A text and what jansson made of it (JSON_REJECT_DUPLICATES), for errors that name the place. */
struct source {
	const char *name;   /* of the file, for errors */
	const char *text;   /* NUL-terminated */
	const json_t *root; /* what it says; or the part of it that "part" names */
	const char *part;   /* NULL; or a key: where the text's top has it, root is its value */
	struct p2pdma_error *err;
};

/* ---- where.c ---- */

/*
 * Both write "NAME:LINE:COLUMN: " and the rest to source->err, and return -EPROTO.  The place is
 * that of @key of @object (of the object, when it has none such or @key is NULL), of an array's
 * element. Lines and columns count from 1, columns in characters.
 */
int wrong_key(const struct source *source, const json_t *object, const char *key,
              const char *format, ...) __attribute__((format(printf, 4, 5)));
int wrong_item(const struct source *source, const json_t *array, size_t index, const char *format,
               ...) __attribute__((format(printf, 4, 5)));
int source_out_of_memory(const struct source *source);
/* For @err that names no file: returns @code. */
int source_failed(const struct source *source, int code, const struct p2pdma_error *err);

/* ---- file.c: values.  What is missing leaves *ret untouched; a wrong one is told by wrong_key().
 */

/* A whole number of @least to @most. */
int get_number(const struct source *source, const json_t *object, const char *key, uint64_t least,
               uint64_t most, uint64_t *ret_number);
int get_bool(const struct source *source, const json_t *object, const char *key, bool *ret_bool);
/* 1 to 255 bytes without control characters; the JSON's. */
int get_text(const struct source *source, const json_t *object, const char *key,
             const char **ret_text);
/* "0000:03:00.0" or, in domain 0, "03:00.0"; or a root bus "0000:00" (devfn 0); *ret_has tells
 * whether the key is there. */
int get_bdf(const struct source *source, const json_t *object, const char *key, bool is_root,
            bool *ret_has, struct p2pdma_bdf *ret_bdf);
bool parse_bdf(const char *text, bool is_root, struct p2pdma_bdf *ret_bdf);
/* One of @words (NULL-terminated): its index. */
int get_word(const struct source *source, const json_t *object, const char *key,
             const char *const *words, size_t *ret_index);
/* The first key that is not among @keys (NULL-terminated) is an error. */
int only_keys(const struct source *source, const json_t *object, const char *const *keys);

/* ---- file.c: parts ---- */

/* "platform" (name or object), "socket" and "latency_ns" of an element of "roots". */
int read_root(const struct source *source, const json_t *object, struct root *root);
/* "model" of @object with all keys but @own_keys as its parameters; errors name line and column. */
int attach_model(const struct source *source, const json_t *object, const char *const *own_keys,
                 struct p2pdma_function *function);
/* A file in memory, with a NUL behind it. */
int read_text(const char *path, struct p2pdma_error *err, char **ret_text, size_t *ret_length);
/* @name as a file at @path may say it: relative ones lie beside that.  NULL when out of memory. */
char *path_beside(const char *path, const char *name);

/* ---- plan.c ---- */

/* Keys of an element (NULL: it has none) that tell of its function; its kind is set. */
int plan_keys(const struct source *source, const json_t *object, struct p2pdma_function *function,
              struct config_plan *plan);
/* "link" and "trained" */
int plan_link(const struct source *source, const json_t *object, struct config_plan *plan);

/* ---- nodes.c ---- */

/* "roots" of form (a): functions with their registers, numbered and placed. */
int read_nodes(const struct source *source, json_t *root, struct fabric *fabric);

/* ---- firmware.c ---- */

/*
 * Bus numbers, depth first; sets bdf.bus of all functions and the bus registers of all bridges,
 * before config_build().  A VF's bdf.bus is how far it lies behind its PF's at first.
 */
int firmware_number(struct fabric *fabric, struct p2pdma_error *err);

/* ---- from_capture.c ---- */

/*
 * Form (b), or a capture itself: source->root is NULL.  The capture is in fabric->said, with what
 * the file says instead.  Times, seed, "iommu", "machine", "faults" and fabric_boot() are file.c's.
 */
int fabric_from_capture(const struct source *source, struct fabric *fabric);

#endif
