/* SPDX-License-Identifier: MIT */
/*
 * Every line of tests/data/expected.tsv against the machine it names, through the public API.
 *
 *     rows DATA-DIRECTORY
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/route.h>

#define COLUMNS 10

static const char *const map_types[] = { "UNKNOWN", "NONE", "NOT_SUPPORTED", "BUS_ADDR",
	                                 "THRU_HOST_BRIDGE" };
static const char *const verdicts[] = { "direct", "root-complex", "unknown", "blocked" };
static const char *const turns[] = { "direct", "redirect", "root", "unknown", "blocked" };
static const char *const stops[] = { "-", "write", "read", "both" };

static struct p2pdma_device *find(struct p2pdma_machine *machine, const char *name)
{
	struct p2pdma_device *device;
	struct p2pdma_error error;

	if (p2pdma_machine_resolve(machine, name, &error, &device)) {
		fprintf(stderr, "%s\n", error.text);
		exit(1);
	}
	return device;
}

static void print_route(char *text, size_t size, struct p2pdma_route r)
{
	snprintf(text, size, "%s %d %s %s %s %s %s", map_types[r.map_type], r.distance,
	         verdicts[r.write], verdicts[r.read], turns[r.request], turns[r.completion],
	         stops[r.stops]);
}

/* True when pair and row both say what the line says. */
static bool check(const char *directory, char **column)
{
	struct p2pdma_error error = { "" };
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_routes *routes = NULL;
	struct p2pdma_device *provider, *client;
	char spec[512], wanted[256], pair[256], row[256];
	uint32_t *codes;
	bool is_right;

	snprintf(spec, sizeof(spec), "capture:%s/%s.json", directory, column[0]);
	if (p2pdma_machine_open(spec, &error, &machine)) {
		printf("not ok - %s: %s\n", column[0], error.text);
		return false;
	}
	codes = calloc(p2pdma_machine_device_count(machine), sizeof(*codes));
	if (!codes || p2pdma_routes_new(machine, NULL, &routes))
		abort();
	provider = find(machine, column[1]);
	client = find(machine, column[2]);
	snprintf(wanted, sizeof(wanted), "%s %s %s %s %s %s %s", column[3], column[4], column[5],
	         column[6], column[7], column[8], column[9]);
	print_route(pair, sizeof(pair), p2pdma_routes_pair(routes, provider, client));
	p2pdma_routes_row(routes, provider, codes);
	p2pdma_device_get_info(client, &info);
	print_route(row, sizeof(row), p2pdma_route_decode(codes[info.index]));
	is_right = !strcmp(wanted, pair) && !strcmp(wanted, row);
	printf("%s - %s %s to %s\n", is_right ? "ok" : "not ok", column[0], column[2], column[1]);
	if (!is_right)
		printf("# wanted %s\n# pair   %s\n# row    %s\n", wanted, pair, row);
	free(codes);
	p2pdma_routes_free(routes);
	p2pdma_machine_close(machine);
	return is_right;
}

int main(int argc, char **argv)
{
	char line[1024], path[512];
	size_t tests = 0, wrong = 0;
	FILE *table;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DATA-DIRECTORY\n", argv[0]);
		return 2;
	}
	snprintf(path, sizeof(path), "%s/expected.tsv", argv[1]);
	table = fopen(path, "r");
	if (!table) {
		perror(path);
		return 1;
	}
	while (fgets(line, sizeof(line), table)) {
		char *column[COLUMNS], *rest = line;

		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		for (int i = 0; i < COLUMNS; i++) {
			column[i] = strsep(&rest, "\t");
			if (!column[i] || !*column[i]) {
				fprintf(stderr, "%s: \"%s\": expected %d columns\n", path, line,
				        COLUMNS);
				return 1;
			}
		}
		tests++;
		wrong += !check(argv[1], column);
	}
	fclose(table);
	printf("1..%zu\n", tests);
	return wrong || !tests ? 1 : 0;
}
