/* SPDX-License-Identifier: MIT */
/*
 * file.c - fabric files (docs/simulator.md): values, and what both forms have in common.
 *
 * Strict: a key nobody knows is a mistake in a file written by hand, and is named as one.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "snapshot.h"

#define MOST_TEXT 255

/* ---- values ---- */

int get_number(const struct source *source, const json_t *object, const char *key, uint64_t least,
               uint64_t most, uint64_t *ret_number)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	if (!value)
		return 0;
	if (!json_is_integer(value) || number < 0 || (uint64_t)number < least ||
	    (uint64_t)number > most)
		return wrong_key(source, object, key,
		                 "\"%.64s\": expected a whole number from %llu to %llu", key,
		                 (unsigned long long)least, (unsigned long long)most);
	*ret_number = (uint64_t)number;
	return 0;
}

int get_bool(const struct source *source, const json_t *object, const char *key, bool *ret_bool)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		return 0;
	if (!json_is_boolean(value))
		return wrong_key(source, object, key, "\"%.64s\": expected true or false", key);
	*ret_bool = json_is_true(value);
	return 0;
}

int get_text(const struct source *source, const json_t *object, const char *key,
             const char **ret_text)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);

	if (!value)
		return 0;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			length = 0;
	if (!length || length > MOST_TEXT)
		return wrong_key(source, object, key,
		                 "\"%.64s\": expected 1 to 255 bytes of text without control "
		                 "characters",
		                 key);
	*ret_text = text;
	return 0;
}

bool parse_bdf(const char *text, bool is_root, struct p2pdma_bdf *ret_bdf)
{
	unsigned int domain = 0, bus, device = 0, function = 0;
	int end = -1;

	if (!isxdigit((unsigned char)*text) || strlen(text) > 16 || strpbrk(text, " \t+-x"))
		return false;
	if (is_root)
		sscanf(text, "%8x:%2x%n", &domain, &bus, &end);
	else
		sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end);
	if (end < 0 && !is_root) {
		domain = 0;
		sscanf(text, "%2x:%2x.%1x%n", &bus, &device, &function, &end);
	}
	if (end < 0 || text[end] || device > 31 || function > 7)
		return false;
	*ret_bdf = (struct p2pdma_bdf){ domain, (uint8_t)bus, (uint8_t)(device << 3 | function) };
	return true;
}

int get_bdf(const struct source *source, const json_t *object, const char *key, bool is_root,
            bool *ret_has, struct p2pdma_bdf *ret_bdf)
{
	const char *text = NULL;
	int r = get_text(source, object, key, &text);

	if (r)
		return r;
	if (text && !parse_bdf(text, is_root, ret_bdf))
		return wrong_key(source, object, key, "\"%.64s\": expected %s", key,
		                 is_root ? "a root bus such as \"0000:00\""
		                         : "an address such as \"0000:03:00.0\"");
	*ret_has = text;
	return 0;
}

int get_word(const struct source *source, const json_t *object, const char *key,
             const char *const *words, size_t *ret_index)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	char list[160] = "";

	if (!value)
		return 0;
	for (size_t i = 0, at = 0; words[i]; i++) {
		if (text && !strcmp(text, words[i])) {
			*ret_index = i;
			return 0;
		}
		if (at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "",
			                       words[i]);
	}
	return wrong_key(source, object, key, "\"%.64s\": expected one of %s", key, list);
}

int only_keys(const struct source *source, const json_t *object, const char *const *keys)
{
	for (void *iter = json_object_iter((json_t *)(uintptr_t)object); iter;
	     iter = json_object_iter_next((json_t *)(uintptr_t)object, iter)) {
		const char *key = json_object_iter_key(iter);
		size_t i = 0;

		while (keys[i] && strcmp(key, keys[i]) != 0)
			i++;
		if (!keys[i])
			return wrong_key(source, object, key, "\"%.64s\": unknown key", key);
	}
	return 0;
}

/* ---- root complexes ---- */

static int read_ops(const struct source *source, const json_t *object, const char *key,
                    bool *ret_writes, bool *ret_reads)
{
	static const char *const words[] = { "none", "r", "w", "rw", NULL };
	size_t ops = 0;
	int r = get_word(source, object, key, words, &ops);

	*ret_reads = ops & 1;
	*ret_writes = ops & 2;
	return r;
}

static int read_custom(const struct source *source, const json_t *object, struct policy *policy)
{
	static const char *const keys[] = { "same_port",
		                            "across_ports",
		                            "across_sockets",
		                            "refused_reads",
		                            "splits",
		                            "host_bridge",
		                            NULL };
	static const char *const refusals[] = { "ur", "ones", "timeout", NULL };
	unsigned int vendor, device;
	const char *id = NULL;
	size_t refusal = REFUSE_UR;
	int end = -1, r;

	*policy = (struct policy){ .name = "custom", .source = "the fabric file" };
	if ((r = only_keys(source, object, keys)) ||
	    (r = read_ops(source, object, "same_port", &policy->writes_same_port,
	                  &policy->reads_same_port)) ||
	    (r = read_ops(source, object, "across_ports", &policy->writes_across_ports,
	                  &policy->reads_across_ports)) ||
	    (r = read_ops(source, object, "across_sockets", &policy->writes_across_sockets,
	                  &policy->reads_across_sockets)) ||
	    (r = get_word(source, object, "refused_reads", refusals, &refusal)) ||
	    (r = get_bool(source, object, "splits", &policy->splits)) ||
	    (r = get_text(source, object, "host_bridge", &id)))
		return r;
	policy->refusal = (enum refusal)refusal;
	if (!id)
		return 0;
	if (strlen(id) != 9 || strspn(id, "0123456789abcdefABCDEF:") != 9 ||
	    sscanf(id, "%4x:%4x%n", &vendor, &device, &end) != 2 || end != 9)
		return wrong_key(source, object, "host_bridge",
		                 "\"host_bridge\": expected vendor and device ID such as "
		                 "\"8086:2020\"");
	policy->host_bridge = vendor << 16 | device;
	return 0;
}

static int unknown_platform(const struct source *source, const json_t *object)
{
	char list[200] = "";
	size_t at = 0;

	for (size_t i = 0; policy_at(i) && at < sizeof(list); i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, ", %s", policy_at(i)->name);
	return wrong_key(source, object, "platform", "\"platform\": expected an object or one of%s",
	                 *list ? list + 1 : "");
}

int read_root(const struct source *source, const json_t *object, struct root *root)
{
	const json_t *platform = json_object_get(object, "platform");
	uint64_t socket = (uint64_t)root->socket, latency = root->latency / PS_PER_NS;
	const char *name = json_string_value(platform);
	const struct policy *policy = name ? policy_find(name) : NULL;
	int r;

	if (json_is_object(platform)) {
		r = read_custom(source, platform, &root->policy);
		if (r)
			return r;
	} else if (policy) {
		root->policy = *policy;
	} else if (platform) {
		return unknown_platform(source, object);
	}
	if ((r = get_number(source, object, "socket", 0, 255, &socket)) ||
	    (r = get_number(source, object, "latency_ns", 0, 1000000, &latency)))
		return r;
	root->socket = (int)socket;
	root->latency = latency * PS_PER_NS;
	return 0;
}

/* ---- models ---- */

/* The parameter that the error is about: a wrong one, or one that the model did not ask for. */
static const char *wrong_param(const struct p2pdma_function *function, const char *error)
{
	if (function->bad_param)
		return function->bad_param;
	for (void *iter = json_object_iter(function->params); iter;
	     iter = json_object_iter_next(function->params, iter)) {
		const char *key = json_object_iter_key(iter);

		if (!json_object_get(function->params_used, key))
			return strstr(error, key) ? key : "model";
	}
	return "model";
}

static int unknown_model(const struct source *source, const json_t *object, const char *name,
                         const struct p2pdma_model *const *own)
{
	char list[120] = "";
	size_t at = 0;

	for (size_t i = 0; model_at(own, i) && at < sizeof(list); i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "",
		                       model_at(own, i)->name);
	return wrong_key(source, object, "model", "\"model\": there is no model \"%.64s\", but %s",
	                 name, list);
}

int attach_model(const struct source *source, const json_t *object, const char *const *own_keys,
                 struct p2pdma_function *function)
{
	json_t *from = (json_t *)(uintptr_t)object;
	const struct p2pdma_model *model;
	struct p2pdma_error err = { "" };
	const char *name = NULL, *key;
	int r = get_text(source, object, "model", &name);

	if (r || !name)
		return r;
	model = model_find(function->fabric, name);
	if (!model)
		return unknown_model(source, object, name, function->fabric->own_models);
	function->params = json_object();
	if (!function->params)
		return source_out_of_memory(source);
	for (void *iter = json_object_iter(from); iter; iter = json_object_iter_next(from, iter)) {
		size_t i = 0;

		key = json_object_iter_key(iter);
		while (own_keys[i] && strcmp(key, own_keys[i]) != 0)
			i++;
		if (!own_keys[i] &&
		    json_object_set(function->params, key, json_object_iter_value(iter)))
			return source_out_of_memory(source);
	}
	r = model_attach(function, model, &err);
	if (!r)
		return 0;
	if (r == -ENOMEM)
		return source_out_of_memory(source);
	wrong_key(source, object, wrong_param(function, err.text), "%s", err.text);
	return r;
}

/* ---- the file ---- */

int read_text(const char *path, struct p2pdma_error *err, char **ret_text, size_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = -errno;

	if (fd < 0)
		return report(err, r, "%.200s: %s", path, strerror(-r));
	r = snapshot_read_input(fd, path, err, ret_text, ret_length);
	close(fd);
	return r;
}

char *path_beside(const char *path, const char *name)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	char *full;

	if (asprintf(&full, "%.*s%s", slash && *name != '/' ? (int)(slash + 1 - path) : 0, path,
	             name) < 0)
		return NULL;
	return full;
}

/* The capture that the file names.  What is wrong with it is named there, too. */
static int read_capture(const struct source *source, struct fabric *fabric)
{
	struct p2pdma_error err = { "" };
	struct snapshot *capture;
	char *path, *text = NULL;
	const char *name = NULL;
	size_t length;
	int r = get_text(source, source->root, "capture", &name);

	if (r || !name)
		return r;
	path = path_beside(source->name, name);
	if (!path)
		return source_out_of_memory(source);
	r = read_text(path, &err, &text, &length);
	if (!r)
		r = snapshot_read_text(text, length, path, &err, &capture);
	if (r) {
		wrong_key(source, source->root, "capture", "%s", err.text);
	} else {
		snapshot_free(fabric->said);
		fabric->said = capture;
	}
	free(text);
	free(path);
	return r;
}

static int replace_text(const struct source *source, const json_t *object, const char *key,
                        char **text)
{
	const char *said = NULL;
	char *copy;
	int r = get_text(source, object, key, &said);

	if (r || !said)
		return r;
	copy = strdup(said);
	if (!copy)
		return source_out_of_memory(source);
	free(*text);
	*text = copy;
	return 0;
}

static int read_machine(const struct source *source, const json_t *root, struct snapshot *said)
{
	static const char *const keys[] = { "kernel", "cpu_vendor", "cpu_family", NULL };
	const json_t *machine = json_object_get(root, "machine");
	uint64_t family = (uint64_t)said->cpu_family;
	int r;

	if (!machine)
		return 0;
	if (!json_is_object(machine))
		return wrong_key(source, root, "machine", "\"machine\": expected an object");
	if ((r = only_keys(source, machine, keys)) ||
	    (r = replace_text(source, machine, "kernel", &said->kernel)) ||
	    (r = replace_text(source, machine, "cpu_vendor", &said->cpu_vendor)) ||
	    (r = get_number(source, machine, "cpu_family", 0, INT32_MAX, &family)))
		return r;
	said->cpu_family = (int)family;
	if (json_object_get(machine, "kernel"))
		said->kernel_p2pdma = P2PDMA_UNKNOWN; /* the captured one's is no more */
	return 0;
}

static int read_common(const struct source *source, const json_t *root, struct fabric *fabric)
{
	static const char *const iommus[] = { "none", "passthrough", "translated", NULL };
	uint64_t landing = fabric->landing / PS_PER_NS;
	uint64_t timeout = fabric->completion_timeout / (1000 * PS_PER_NS);
	uint64_t iova_bits = fabric->iova_bits;
	size_t iommu = 0;
	int r;

	if ((r = get_number(source, root, "seed", 0, INT64_MAX, &fabric->random)) ||
	    (r = get_number(source, root, "landing_ns", 0, 1000000000, &landing)) ||
	    (r = get_number(source, root, "completion_timeout_us", 1, 64000000, &timeout)) ||
	    (r = get_word(source, root, "iommu", iommus, &iommu)) ||
	    (r = get_number(source, root, "iova_bits", 32, 57, &iova_bits)))
		return r;
	fabric->landing = landing * PS_PER_NS;
	fabric->completion_timeout = timeout * 1000 * PS_PER_NS;
	fabric->iommu = P2PDMA_IOMMU_NONE + (enum p2pdma_iommu)iommu;
	fabric->iova_bits = (unsigned int)iova_bits;
	return read_machine(source, root, fabric->said);
}

static int boot(const struct source *source, struct fabric *fabric)
{
	struct p2pdma_error err = { "" };
	int r = fabric_boot(fabric, &err);

	return r ? source_failed(source, r, &err) : 0;
}

static int read_fabric(const struct source *source, json_t *root, struct fabric *fabric)
{
	static const char *const keys[] = {
		"format",  "version",   "seed",    "landing_ns", "completion_timeout_us",
		"iommu",   "iova_bits", "machine", "roots",      "faults",
		"capture", "models",    NULL
	};
	bool is_capture = json_object_get(root, "capture");
	json_t *faults = json_object_get(root, "faults");
	int r;

	if (json_integer_value(json_object_get(root, "version")) != 1)
		return wrong_key(source, root, "version",
		                 "expected \"version\":1, the only one that is read");
	if ((r = only_keys(source, root, keys)) || (r = read_capture(source, fabric)) ||
	    (r = read_common(source, root, fabric)))
		return r;
	if (!is_capture && json_object_get(root, "models"))
		return wrong_key(source, root, "models",
		                 "\"models\": only with a \"capture\"; elements have a \"model\"");
	if (faults && !json_is_array(faults))
		return wrong_key(source, root, "faults", "\"faults\": expected an array");
	r = is_capture ? fabric_from_capture(source, fabric) : read_nodes(source, root, fabric);
	if (!r)
		r = boot(source, fabric);
	if (!r && faults)
		r = fault_load(fabric, faults, source->text, source->name, source->err);
	return r;
}

/* A fabric file, or a capture: lspci text or JSON of another format. */
static int read_whole(struct source *source, size_t length, struct fabric *fabric)
{
	const char *text = source->text, *name = source->name, *format;
	bool is_json = text[strspn(text, " \t\r\n")] == '{';
	struct snapshot *capture;
	json_t *root = NULL;
	int r = is_json ? snapshot_parse_json(text, length, name, "a fabric file or a capture",
	                                      source->err, &root)
	                : 0;

	if (r)
		return r;
	source->root = root;
	format = json_string_value(json_object_get(root, "format"));
	if (is_json && !format)
		r = wrong_key(source, root, NULL, "expected \"format\":\"p2pdma-fabric\"");
	else if (is_json && !strcmp(format, "p2pdma-fabric"))
		r = read_fabric(source, root, fabric);
	else if (is_json && strcmp(format, "p2pdma-capture") != 0)
		r = wrong_key(source, root, "format",
		              "\"format\": expected \"p2pdma-fabric\" or \"p2pdma-capture\"");
	else if (!(r = is_json ? snapshot_from_json(root, name, source->err, &capture)
	                       : snapshot_read_text(text, length, name, source->err, &capture))) {
		source->root = NULL;
		snapshot_free(fabric->said);
		fabric->said = capture;
		r = fabric_from_capture(source, fabric);
		if (!r)
			r = boot(source, fabric);
	}
	json_decref(root);
	return r;
}

int fabric_read(const char *path, const struct p2pdma_model *const *own_models,
                struct p2pdma_error *err, struct fabric **ret_fabric)
{
	struct source source = { .name = path, .err = err };
	struct fabric *fabric;
	size_t length;
	char *text;
	int r = read_text(path, err, &text, &length);

	if (r)
		return r;
	source.text = text;
	fabric = fabric_new();
	if (fabric) {
		fabric->own_models = own_models;
		fabric->path = path;
		r = read_whole(&source, length, fabric);
		fabric->path = NULL;
	} else {
		r = source_out_of_memory(&source);
	}
	free(text);
	if (r) {
		fabric_free(fabric);
		return r;
	}
	*ret_fabric = fabric;
	return 0;
}
