/* SPDX-License-Identifier: MIT */
/*
 * names.c - vendor, device and class names from pci.ids, when it is there.
 *
 * The file: "vvvv  Vendor" lines, each followed by "\tdddd  Device" lines; classes as
 * "C cc  Class" and "\tss  Subclass".  Read once, on first use.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

static struct {
	bool is_loaded;
	char *text; /* NULL: there is none */
	/* By number: where in the text the name stands. */
	const char *vendors[0x10000];
	const char *classes[0x100];
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

/* That many hex digits and a blank; -1 when something else stands there. */
static int number_at(const char *line, int digits)
{
	char text[8] = "";

	for (int i = 0; i < digits; i++) {
		if (!isxdigit((unsigned char)line[i]))
			return -1;
		text[i] = line[i];
	}
	return line[digits] == ' ' ? (int)strtol(text, NULL, 16) : -1;
}

/* One pass, so that a name does not cost a search through the whole file. */
static void index_lines(void)
{
	for (const char *line = ids.text; line; line = strchr(line, '\n')) {
		int number;

		line += *line == '\n';
		if ((number = number_at(line, 4)) >= 0 && !ids.vendors[number])
			ids.vendors[number] = line + 4;
		else if (*line == 'C' && line[1] == ' ' && (number = number_at(line + 2, 2)) >= 0 &&
		         !ids.classes[number])
			ids.classes[number] = line + 4;
	}
}

static void load(void)
{
	static const char *const paths[] = { "/usr/share/misc/pci.ids",
		                             "/usr/share/hwdata/pci.ids" };
	const char *own = getenv("P2PDMA_PCI_IDS");

	if (ids.is_loaded)
		return;
	ids.is_loaded = true;
	if (own)
		ids.text = read_whole(own);
	for (size_t i = 0; !own && !ids.text && i < sizeof(paths) / sizeof(paths[0]); i++)
		ids.text = read_whole(paths[i]);
	index_lines();
}

void names_done(void)
{
	free(ids.text);
	memset(&ids, 0, sizeof(ids));
}

/* Below the line at @text, what follows @key. */
static const char *find_child(const char *text, const char *key)
{
	size_t length = strlen(key);

	while ((text = strchr(text, '\n')) && (text[1] == '\t' || text[1] == '#'))
		if (!strncmp(++text, key, length))
			return text + length;
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
	disarm(name);
}

/* The names of a line and of its child line; either may be missing. */
static void look_up(const char *line, const char *child_key, char *parent, char *child, size_t size)
{
	copy_rest(line, parent, size);
	copy_rest(line ? find_child(line, child_key) : NULL, child, size);
}

char *device_name(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	char child_key[16], parent[128], child[128], *text;

	p2pdma_device_get_info(device, &info);
	load();
	snprintf(child_key, sizeof(child_key), "\t%04x ", info.device);
	look_up(ids.vendors[info.vendor], child_key, parent, child, sizeof(parent));
	if (!*child)
		snprintf(child, sizeof(child), "%04x:%04x", info.vendor, info.device);
	if (asprintf(&text, "%s%s%s", parent, *parent ? " " : "", child) < 0)
		return NULL;
	return text;
}

char *class_name(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	char child_key[16], parent[128], child[128];

	p2pdma_device_get_info(device, &info);
	load();
	snprintf(child_key, sizeof(child_key), "\t%02x ", info.class_code >> 8 & 0xff);
	look_up(ids.classes[info.class_code >> 16 & 0xff], child_key, parent, child,
	        sizeof(parent));
	if (*child)
		return strdup(child);
	if (*parent)
		return strdup(parent);
	snprintf(child, sizeof(child), "class %04x", info.class_code >> 8);
	return strdup(child);
}
