/* SPDX-License-Identifier: MIT */
/*
 * A bundled capture that is read and dumped comes out as it went in, byte for byte, so that its
 * verdicts do too.
 *
 *     roundtrip FILE...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/machine.h>

static char *read_all(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;
	ssize_t length;

	if (!file)
		return NULL;
	length = getdelim(&text, &size, '\0', file);
	fclose(file);
	if (length > 0)
		return text;
	free(text);
	return NULL;
}

static bool comes_back(const char *path)
{
	struct p2pdma_error error = { "no such file, or it is empty" };
	struct p2pdma_machine *machine = NULL;
	char spec[4096], *text = read_all(path), *dump = NULL;
	bool is_same = false;

	snprintf(spec, sizeof(spec), "capture:%s", path);
	if (!text || p2pdma_machine_open(spec, &error, &machine))
		printf("# %s\n", error.text);
	else if (!p2pdma_machine_dump(machine, 0, &dump))
		is_same = !strcmp(text, dump);
	p2pdma_machine_close(machine);
	free(dump);
	free(text);
	return is_same;
}

int main(int argc, char **argv)
{
	int wrong = argc < 2;

	for (int i = 1; i < argc; i++) {
		bool is_same = comes_back(argv[i]);

		printf("%s - %s\n", is_same ? "ok" : "not ok", argv[i]);
		wrong |= !is_same;
	}
	printf("1..%d\n", argc - 1);
	return wrong;
}
