/* SPDX-License-Identifier: MIT */
/*
 * names.c - vendor, device and class names from pci.ids, when it is there.
 *
 * The file: "vvvv  Vendor" lines, each followed by "\tdddd  Device" lines; classes as
 * "C cc  Class" and "\tss  Subclass".  Read once, on first use.
 */
#include <stdlib.h>
#include <string.h>

#include "app.h"

static struct {
	bool is_loaded;
	char *text; /* NULL: there is none */
} ids;

static char *read_whole(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	long size;

	if (!file)
		return NULL;
	if (!fseek(file, 0, SEEK_END) && (size = ftell(file)) > 0 && size < 64 << 20 &&
	    !fseek(file, 0, SEEK_SET) && (text = malloc((size_t)size + 1)))
		text[fread(text, 1, (size_t)size, file)] = '\0';
	fclose(file);
	return text;
}

static const char *load(void)
{
	static const char *const paths[] = { "/usr/share/misc/pci.ids",
		                             "/usr/share/hwdata/pci.ids" };
	const char *own = getenv("P2PDMA_PCI_IDS");

	if (!ids.is_loaded) {
		ids.is_loaded = true;
		if (own)
			ids.text = read_whole(own);
		for (size_t i = 0; !own && !ids.text && i < sizeof(paths) / sizeof(paths[0]); i++)
			ids.text = read_whole(paths[i]);
	}
	return ids.text;
}

void names_done(void)
{
	free(ids.text);
	ids.text = NULL;
	ids.is_loaded = false;
}

/* The line that begins with @key, between @text and the first line that ends its block. */
static const char *find_line(const char *text, const char *key, bool is_child)
{
	size_t length = strlen(key);

	while (text && *text) {
		if (!strncmp(text, key, length))
			return text + length;
		text = strchr(text, '\n');
		if (!text)
			break;
		text++;
		if (is_child && *text != '\t' && *text != '#')
			break;
	}
	return NULL;
}

/* The rest of a line as a string of its own, without leading blanks; "" for NULL. */
static void copy_rest(const char *line, char *name, size_t size)
{
	*name = '\0';
	if (!line)
		return;
	line += strspn(line, " ");
	snprintf(name, size, "%.*s", (int)strcspn(line, "\r\n"), line);
	/* Whoever wrote the file does not write to the terminal. */
	for (; *name; name++)
		if ((unsigned char)*name < 0x20 || *name == 0x7f)
			*name = '?';
}

/* Parent line, and below it the child line; either may be missing. */
static void look_up(const char *parent_key, const char *child_key, char *parent, char *child,
                    size_t size)
{
	const char *line = find_line(load(), parent_key, false);
	const char *next = line ? strchr(line, '\n') : NULL;

	copy_rest(line, parent, size);
	copy_rest(next && next[1] == '\t' ? find_line(next + 1, child_key, true) : NULL, child,
	          size);
}

char *device_name(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	char parent_key[16], child_key[16], parent[128], child[128], *text;

	p2pdma_device_get_info(device, &info);
	snprintf(parent_key, sizeof(parent_key), "%04x ", info.vendor);
	snprintf(child_key, sizeof(child_key), "\t%04x ", info.device);
	look_up(parent_key, child_key, parent, child, sizeof(parent));
	if (!*child)
		snprintf(child, sizeof(child), "%04x:%04x", info.vendor, info.device);
	if (asprintf(&text, "%s%s%s", parent, *parent ? " " : "", child) < 0)
		return NULL;
	return text;
}

char *class_name(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	char parent_key[16], child_key[16], parent[128], child[128];

	p2pdma_device_get_info(device, &info);
	snprintf(parent_key, sizeof(parent_key), "C %02x ", info.class_code >> 16);
	snprintf(child_key, sizeof(child_key), "\t%02x ", info.class_code >> 8 & 0xff);
	look_up(parent_key, child_key, parent, child, sizeof(parent));
	if (*child)
		return strdup(child);
	if (*parent)
		return strdup(parent);
	snprintf(child, sizeof(child), "class %04x", info.class_code >> 8);
	return strdup(child);
}
