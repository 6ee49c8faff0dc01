/* SPDX-License-Identifier: MIT */
/*
 * where.c - the line and column of a JSON value.
 *
 * jansson keeps no positions, but it keeps the order: the n-th key or value of the tree is the n-th
 * of the text.  So the tree is counted up to the one wanted, and the text, known to be valid, is
 * scanned for as many.  It costs as much as parsing, once, for an error.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "file.h"

struct wanted {
	const json_t *within;
	const char *key; /* of an object */
	size_t index;    /* of an array; SIZE_MAX: @within itself, when it has no @key */
};

struct cursor {
	const char *at;
	size_t line, column;
};

/* Adds to *count the keys and values before the wanted one; false: it is not in @value. */
static bool count_tokens(const json_t *value, const struct wanted *wanted, size_t *count)
{
	/* jansson's iterators write nothing, but take no const. */
	json_t *object = (json_t *)(uintptr_t)value;
	bool is_it = value == wanted->within;
	const json_t *element;
	size_t i;

	if (is_it && wanted->index == SIZE_MAX && !json_object_get(value, wanted->key))
		return true;
	++*count;
	json_array_foreach(value, i, element)
	{
		if ((is_it && i == wanted->index) || count_tokens(element, wanted, count))
			return true;
	}
	for (void *iter = json_object_iter(object); iter;
	     iter = json_object_iter_next(object, iter)) {
		if (is_it && wanted->key && !strcmp(json_object_iter_key(iter), wanted->key))
			return true;
		++*count;
		if (count_tokens(json_object_iter_value(iter), wanted, count))
			return true;
	}
	return false;
}

/* Over @count bytes; those inside a UTF-8 character are no columns. */
static void step(struct cursor *cursor, size_t count)
{
	for (; count--; cursor->at++) {
		if (*cursor->at == '\n') {
			cursor->line++;
			cursor->column = 1;
		} else if (((unsigned char)*cursor->at & 0xc0) != 0x80) {
			cursor->column++;
		}
	}
}

/* To the next key or value; false: there is none.  *depth counts what is open. */
static bool next_token(struct cursor *cursor, size_t *depth)
{
	size_t length = strspn(cursor->at, " \t\r\n,:]}");

	for (size_t i = 0; i < length; i++)
		*depth -= cursor->at[i] == ']' || cursor->at[i] == '}';
	step(cursor, length);
	return *cursor->at;
}

static size_t token_length(const char *token)
{
	const char *end = token;

	if (*token == '{' || *token == '[')
		return 1;
	if (*token != '"')
		return strcspn(token, " \t\r\n,:]}");
	while (*++end && *end != '"')
		end += *end == '\\' && end[1];
	return (size_t)(end - token) + (*end == '"');
}

/* To token number @count from here on. */
static void skip_tokens(struct cursor *cursor, size_t count)
{
	for (size_t depth = 0; next_token(cursor, &depth) && count; count--)
		step(cursor, token_length(cursor->at));
}

/* Behind a key of the outermost object; false: it has none such. */
static bool skip_to_part(struct cursor *cursor, const char *part)
{
	size_t depth = 0, length;

	for (; next_token(cursor, &depth); step(cursor, length)) {
		length = token_length(cursor->at);
		depth += *cursor->at == '{' || *cursor->at == '[';
		if (depth != 1 || length != strlen(part) + 2 ||
		    strncmp(cursor->at + 1, part, length - 2) != 0)
			continue;
		step(cursor, length);
		step(cursor, strspn(cursor->at, " \t\r\n"));
		length = 0;
		if (*cursor->at == ':')
			return true;
	}
	return false;
}

static int wrong(const struct source *source, const struct wanted *wanted, const char *format,
                 va_list args)
{
	struct cursor start = { source->text, 1, 1 }, cursor = start;
	char words[256];
	size_t count = 0;

	if (source->part && !skip_to_part(&cursor, source->part))
		cursor = start;
	count_tokens(source->root, wanted, &count);
	skip_tokens(&cursor, count);
	vsnprintf(words, sizeof(words), format, args);
	return report(source->err, -EPROTO, "%.200s:%zu:%zu: %s", source->name, cursor.line,
	              cursor.column, words);
}

int wrong_key(const struct source *source, const json_t *object, const char *key,
              const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = wrong(source, &(struct wanted){ object, key, SIZE_MAX }, format, args);
	va_end(args);
	return r;
}

int wrong_item(const struct source *source, const json_t *array, size_t index, const char *format,
               ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = wrong(source, &(struct wanted){ array, NULL, index }, format, args);
	va_end(args);
	return r;
}

int source_failed(const struct source *source, int code, const struct p2pdma_error *err)
{
	return report(source->err, code, "%.200s: %.250s", source->name, err->text);
}

int source_out_of_memory(const struct source *source)
{
	return report(source->err, -ENOMEM, "%.200s: out of memory", source->name);
}
