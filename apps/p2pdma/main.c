/* SPDX-License-Identifier: MIT */
/*
 * main.c - the command line: verbs, options, exit codes.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"

#define VERBS "check, matrix, find, tree, dump, sim check or sim run"

static const struct verb {
	const char *name;
	int (*run)(struct app *app);
	bool judges;
	bool is_simulated; /* its first argument is the file of a simulated machine */
	int fewest_arguments;
	int most_arguments;
	const char *options; /* of long_options, beside those that every verb takes */
	const char *arguments;
	const char *summary;
} verbs[] = {
	{ "check", verb_check, true, false, 2, -1, "pcOjv", "PROVIDER CLIENT...",
	  "can each client reach the provider's memory, and if not, what stops it" },
	{ "matrix", verb_matrix, true, false, 0, -1, "pcOja", "[DEVICE...]",
	  "the verdict for all pairs" },
	{ "find", verb_find, true, false, 1, -1, "pcOjvf", "CLIENT...",
	  "providers that all clients reach, best first" },
	{ "tree", verb_tree, false, false, 0, 0, "j", "", "the fabric: links, ACS, groups, BARs" },
	{ "dump", verb_dump, false, false, 0, 0, "jor", "", "write this machine as a capture" },
	{ "sim check", verb_sim_check, false, true, 1, 1, "", "FILE",
	  "what a simulated machine is" },
	{ "sim run", verb_sim_run, false, true, 1, 1, "jFbtS", "FILE --flow FLOW...",
	  "streams of DMA on a simulated machine" },
};

static const struct option long_options[] = {
	{ "machine", required_argument, NULL, 'M' }, { "profile", required_argument, NULL, 'p' },
	{ "cpu", required_argument, NULL, 'c' },     { "op", required_argument, NULL, 'O' },
	{ "json", no_argument, NULL, 'j' },          { "verbose", no_argument, NULL, 'v' },
	{ "all", no_argument, NULL, 'a' },           { "for", required_argument, NULL, 'f' },
	{ "output", required_argument, NULL, 'o' },  { "redact", no_argument, NULL, 'r' },
	{ "color", required_argument, NULL, 'C' },   { "help", no_argument, NULL, 'h' },
	{ "flow", required_argument, NULL, 'F' },    { "bytes", required_argument, NULL, 'b' },
	{ "trace", required_argument, NULL, 't' },   { "set", required_argument, NULL, 'S' },
	{ "version", no_argument, NULL, 'V' },       { NULL, 0, NULL, 0 },
};

int complain(int code, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "p2pdma: %s\n", disarm(text)); /* it may quote what was read */
	return code;
}

static void print_usage(const struct verb *only)
{
	fputs("Usage:\n", stdout);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (only && only != &verbs[i])
			continue;
		printf("  p2pdma %-9s %-19s %s\n", verbs[i].name, verbs[i].arguments,
		       verbs[i].summary);
	}
	fputs("\n"
	      "  -M, --machine MACHINE   live: (default), live:root=DIR, capture:FILE, capture:-,\n"
	      "                          sim:FILE\n"
	      "      --profile linux-X.Y kernel whose verdict is given (6.0 or later)\n"
	      "      --cpu auto|amd-zen|other\n"
	      "      --op read|write|both\n"
	      "      --json              for programs (docs/schema/)\n"
	      "  -v, --verbose           each hop with its bits; everything refused\n"
	      "      --all               matrix: every function, not only likely ones\n"
	      "      --for kernel        find: in the order of the kernel\n"
	      "  -o, --output FILE       dump: where to\n"
	      "      --redact            dump: without serial numbers and names\n"
	      "      --flow from=DEVICE,to=DEVICE|dram,op=read|write[,size=4096][,depth=32]\n"
	      "             [,translated=yes]\n"
	      "                          sim run: one stream of DMA, as often as wanted\n"
	      "      --bytes N           sim run: of each flow, such as 64M\n"
	      "      --trace FILE        sim run: every TLP\n"
	      "      --set DEVICE,OFFSET.WIDTH=VALUE\n"
	      "                          sim run: a register before it, as often as wanted\n"
	      "      --color auto|always|never\n"
	      "  -h, --help   --version\n"
	      "\n"
	      "A device: 0000:03:00.0, 03:00.0, /dev/nvme0n1, eth0, a path below /sys, or lspci's\n"
	      "patterns 3:, *:00.0 and 10de:*.  Exit codes of check and find: 0 yes, 1 no, 2 unknown;\n"
	      "of sim run: 0 all arrived, 1 not; of all: 3 usage, 4 unreadable input.\n"
	      "The whole story: man p2pdma\n",
	      stdout);
}

static int usage_error(void)
{
	fputs("Try `p2pdma --help`.\n", stderr);
	return EXIT_USAGE;
}

/* The position of @word in @words, -1 when it is not there. */
static int find_word(const char *word, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], word))
			return i;
	return -1;
}

static int set_color(struct app *app, const char *when)
{
	static const char *const words[] = { "auto", "always", "never", NULL };
	const char *no_color = getenv("NO_COLOR");

	switch (find_word(when, words)) {
	case 0:
		app->has_color = isatty(STDOUT_FILENO) && (!no_color || !*no_color);
		return 0;
	case 1:
		app->has_color = true;
		return 0;
	case 2:
		app->has_color = false;
		return 0;
	default:
		return complain(EXIT_USAGE, "--color %s: expected auto, always or never", when);
	}
}

static int set_profile(struct app *app, const char *text)
{
	int r = p2pdma_profile_parse(text, &app->routes_opts.profile);

	if (r == -ERANGE)
		return complain(
			EXIT_USAGE,
			"--profile %s: not known; what kernels before 6.0 do is not recorded here",
			text);
	if (r)
		return complain(EXIT_USAGE, "--profile %s: expected linux-X.Y, such as linux-7.2",
		                text);
	return 0;
}

static int set_option(struct app *app, int option, const char *value)
{
	static const char *const cpus[] = { "auto", "amd-zen", "other", NULL };
	static const char *const ops[] = { "write", "read", "both", NULL };
	int word;

	switch (option) {
	case 'M':
		app->machine_spec = value;
		return 0;
	case 'p':
		return set_profile(app, value);
	case 'c':
		word = find_word(value, cpus);
		if (word < 0)
			return complain(EXIT_USAGE, "--cpu %s: expected auto, amd-zen or other",
			                value);
		app->routes_opts.cpu = (enum p2pdma_cpu)word;
		return 0;
	case 'O':
		word = find_word(value, ops);
		if (word < 0)
			return complain(EXIT_USAGE, "--op %s: expected read, write or both", value);
		app->op = (enum p2pdma_op)(word + 1);
		return 0;
	case 'f':
		if (strcmp(value, "kernel") != 0)
			return complain(EXIT_USAGE, "--for %s: expected kernel", value);
		app->for_kernel = true;
		return 0;
	case 'j':
		app->is_json = true;
		return 0;
	case 'v':
		app->is_verbose = true;
		return 0;
	case 'a':
		app->is_all = true;
		return 0;
	case 'r':
		app->is_redacted = true;
		return 0;
	case 'o':
		app->output = value;
		return 0;
	case 'F':
		if (app->flow_count == MOST_FLOWS)
			return complain(EXIT_USAGE, "--flow: more than %d", MOST_FLOWS);
		app->flows[app->flow_count++] = value;
		return 0;
	case 'S':
		if (app->set_count == MOST_SETS)
			return complain(EXIT_USAGE, "--set: more than %d", MOST_SETS);
		app->sets[app->set_count++] = value;
		return 0;
	case 'b':
		app->bytes = value;
		return 0;
	case 't':
		app->trace = value;
		return 0;
	case 'C':
		return set_color(app, value);
	default: /* getopt has complained */
		return usage_error();
	}
}

/* One word, or two; @ret_words of them. */
static const struct verb *find_verb(int count, char **words, int *ret_words)
{
	for (size_t i = 0; count && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		const char *name = verbs[i].name, *second = strchr(name, ' ');
		size_t length = strcspn(name, " ");

		if (strncmp(words[0], name, length) != 0 || words[0][length])
			continue;
		if (second && (count < 2 || strcmp(words[1], second + 1) != 0))
			continue;
		*ret_words = second ? 2 : 1;
		return &verbs[i];
	}
	return NULL;
}

static void complain_of_verb(int count, char **words)
{
	if (!count)
		complain(EXIT_USAGE, "expected a verb: " VERBS);
	else if (strcmp(words[0], "sim") != 0)
		complain(EXIT_USAGE, "%s: no such verb; expected " VERBS, words[0]);
	else
		complain(EXIT_USAGE, "sim%s%s: no such verb; expected sim check or sim run",
		         count > 1 ? " " : "", count > 1 ? words[1] : "");
}

/* Nothing that was typed is silently without effect. */
static int check_options(const struct verb *verb, const char *seen)
{
	for (const struct option *option = long_options; option->name; option++)
		if (strchr(seen, option->val) && !strchr(verb->options, option->val) &&
		    option->val != 'C' && (option->val != 'M' || verb->is_simulated))
			return complain(EXIT_USAGE, "%s has no use for --%s", verb->name,
			                option->name);
	return 0;
}

static int check_arguments(const struct verb *verb, int count)
{
	if (count >= verb->fewest_arguments &&
	    (verb->most_arguments < 0 || count <= verb->most_arguments))
		return 0;
	return complain(EXIT_USAGE, "expected: p2pdma %s%s%s", verb->name,
	                *verb->arguments ? " " : "", verb->arguments);
}

static int open_machine(struct app *app)
{
	struct p2pdma_error err;
	struct stat stat_buffer;
	int r = p2pdma_machine_open(app->machine_spec, &err, &app->machine);

	if (r == -EINVAL && !stat(app->machine_spec, &stat_buffer))
		return complain(EXIT_USAGE, "%s; did you mean capture:%s?", err.text,
		                app->machine_spec);
	if (r)
		return complain(r == -EINVAL ? EXIT_USAGE : EXIT_INPUT, "%s", err.text);
	app->info.size = sizeof(app->info);
	p2pdma_machine_get_info(app->machine, &app->info);
	return 0;
}

static int run(struct app *app, const struct verb *verb)
{
	int r = open_machine(app);

	if (r)
		return r;
	if (verb->judges) {
		r = p2pdma_routes_new(app->machine, &app->routes_opts, &app->routes);
		if (r)
			return complain(EXIT_INPUT, "%s", strerror(-r));
		app->routes_info.size = sizeof(app->routes_info);
		p2pdma_routes_get_info(app->routes, &app->routes_info);
	}
	return verb->run(app);
}

/* What was printed must have arrived, or a script would take half an answer for a whole one. */
static int finish_output(int code)
{
	if (fflush(stdout) || ferror(stdout))
		return errno == EPIPE
		               ? EXIT_INPUT
		               : complain(EXIT_INPUT, "standard output: %s", strerror(errno));
	return code;
}

int main(int argc, char **argv)
{
	struct app app = {
		.machine_spec = "live:",
		.routes_opts = { .size = sizeof(app.routes_opts) },
		.op = P2PDMA_OP_BOTH,
	};
	const struct verb *verb;
	static char name[] = "p2pdma"; /* getopt's messages begin with it, as complain()'s do */
	char seen[sizeof(long_options) / sizeof(long_options[0]) + 1] = "";
	bool wants_help = false;
	int option, code, words = 0;
	char *spec = NULL;

	if (argc)
		argv[0] = name;
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN); /* finish_output() notices */
	set_color(&app, "auto");
	while ((option = getopt_long(argc, argv, "M:o:vh", long_options, NULL)) != -1) {
		if (option == 'V') {
			puts("p2pdma " P2PDMA_VERSION);
			return finish_output(0);
		}
		if (option == 'h') {
			wants_help = true;
			continue;
		}
		code = set_option(&app, option, optarg);
		if (code)
			return code;
		if (!strchr(seen, option))
			seen[strlen(seen)] = (char)option;
	}
	verb = find_verb(argc - optind, argv + optind, &words);
	if (wants_help) {
		print_usage(verb);
		return finish_output(0);
	}
	if (!verb) {
		complain_of_verb(argc - optind, argv + optind);
		return usage_error();
	}
	app.verb = verb->name;
	app.arguments = argv + optind + words;
	app.argument_count = argc - optind - words;
	if (check_options(verb, seen) || check_arguments(verb, app.argument_count))
		return usage_error();
	if (verb->is_simulated) {
		bool has_prefix = !strncmp(app.arguments[0], "sim:", 4);

		if (asprintf(&spec, "%s%s", has_prefix ? "" : "sim:", app.arguments[0]) < 0)
			return complain(EXIT_INPUT, "out of memory");
		app.machine_spec = spec;
	}
	code = finish_output(run(&app, verb));
	p2pdma_routes_free(app.routes);
	p2pdma_machine_close(app.machine);
	names_done();
	free(spec);
	return code;
}
