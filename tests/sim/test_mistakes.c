/* SPDX-License-Identifier: MIT */
/*
 * test_mistakes.c - every mistake of a fabric file is named with its line and column.
 */
#include "written.h"

#include <errno.h>

/* @text is refused, and the error is "FILE@place: ...@cause...". */
static void refuse_as(int code, const char *text, const char *place, const char *cause)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric = NULL;
	int r = read_text_of(text, strlen(text), &err, &fabric);

	if (r != code || strncmp(err.text, place, strlen(place)) != 0 ||
	    err.text[strlen(place)] != ':' || !strstr(err.text, cause))
		fail_msg("%s\n%d: %s\nexpected %s: %s", text, r, err.text, place, cause);
	assert_null(fabric);
}

static void refuse(const char *text, const char *place, const char *cause)
{
	refuse_as(-EPROTO, text, place, cause);
}

static void syntax_errors_name_the_place(void **state)
{
	(void)state;
	refuse("{\n \"format\": \"p2pdma-fabric\",\n  }", ":3:3", "string or '}' expected");
	refuse("{\n \"seed\":1,\"seed\":2}", ":2:16", "duplicate object key");
	refuse("{}", ":1:1", "expected \"format\":\"p2pdma-fabric\"");
	refuse("{\"format\":\"p2pdma-fabric\"}", ":1:1", "expected \"version\":1");
	refuse("\n\n {\"format\":\"p2pdma-fabric\",\"version\":2}", ":3:28",
	       "expected \"version\":1, the");
	refuse("{\"format\":\"p2pdma-fabrc\",\"version\":1}", ":1:2",
	       "\"p2pdma-fabric\" or \"p2pdma-capture\"");
	refuse(HEAD "\"version\":1}", ":1:47", "duplicate");
}

static void mistakes_at_the_top_are_named(void **state)
{
	(void)state;
	refuse(HEAD "\n\"route\":[]}", ":2:1", "\"route\": unknown key");
	refuse(HEAD "\n \"seed\":-1}", ":2:2", "\"seed\": expected a whole number from 0");
	refuse(HEAD "\n\"landing_ns\":1.5}", ":2:1", "expected a whole number");
	refuse(HEAD "\n\"completion_timeout_us\":0}", ":2:1", "from 1 to");
	refuse(HEAD "\n\"iommu\":\"on\"}", ":2:1", "one of none, passthrough, translated");
	refuse(HEAD "\n\"iova_bits\":31}", ":2:1", "from 32 to 57");
	refuse(HEAD "\n\"machine\":[]}", ":2:1", "expected an object");
	refuse(HEAD "\n\"machine\":{\"arch\":1}}", ":2:12", "\"arch\": unknown key");
	refuse(HEAD "\n\"machine\":{\"kernel\":\"\"}}", ":2:12", "1 to 255 bytes");
	refuse(HEAD "\n\"machine\":{\"kernel\":\"\\u0007\"}}", ":2:12", "control characters");
	refuse(HEAD "\n\"models\":{}}", ":2:1", "only with a \"capture\"");
	refuse(HEAD "\n\"faults\":{}}", ":2:1", "expected an array");
	refuse(HEAD "\"seed\":1}", ":1:1", "\"roots\": expected a list");
	refuse_as(-ENODEV, ROOT TAIL, "", ": the machine has no PCI function");
	refuse(HEAD "\n\"roots\":[]}", ":2:1", "\"roots\": expected a list");
	refuse(HEAD "\"roots\":[\n {},\n 5]}", ":3:2", "expected an object");
	refuse(HEAD "\"roots\":[{\n\"bus\":\"0000:00\"}]}", ":2:1", "\"bus\": unknown key");
	refuse(HEAD "\"roots\":[{\n\"platform\":\"pdp-11\"}]}", ":2:1", "one of refuses, forwards");
	refuse(HEAD "\"roots\":[{\n\"platform\":{\"splits\":1}}]}", ":2:13", "true or false");
	refuse(HEAD "\"roots\":[{\n\"platform\":{\"same_port\":\"wr\"}}]}", ":2:13",
	       "one of none, r, w, rw");
	refuse(HEAD "\"roots\":[{\n\"platform\":{\"host_bridge\":\"8086-2020\"}}]}", ":2:13",
	       "\"8086:2020\"");
	refuse(HEAD "\"roots\":[{\n\"socket\":256}]}", ":2:1", "from 0 to 255");
	refuse(HEAD "\"roots\":[{\n\"domain\":4294967296}]}", ":2:1", "from 0 to 4294967295");
	refuse(HEAD "\"roots\":[{\n\"below\":{}}]}", ":2:1", "expected a list");
	refuse(ROOT "{" MEM "}],\"domain\":0}],\n\"faults\":[{\"do\":\"drop\"}]}", ":2:11", "tlp");
}

/* By the file that names it, and by what is wrong there. */
static void a_capture_that_cannot_be_read_is_named(void **state)
{
	(void)state;
	refuse_as(-ENOENT, HEAD "\n\"capture\":\"/nonexistent/box.json\"}", ":2:1",
	          "/nonexistent/box.json: No such file");
	refuse_as(-ENOENT, HEAD "\n\"capture\":\"nonexistent.json\"}", ":2:1",
	          "/tmp/nonexistent.json: No such file");
	refuse(HEAD "\n\"capture\":\"/dev/null\"}", ":2:1", "/dev/null");
	refuse(HEAD "\n\"capture\":7}", ":2:1", "1 to 255 bytes");
}

static void mistakes_of_elements_are_named(void **state)
{
	(void)state;
	refuse(ROOT "\n7" TAIL, ":2:1", "expected an object");
	refuse(ROOT "\n {}" TAIL, ":2:2", "expected a \"type\" or a \"model\"");
	refuse(ROOT "\n{\"type\":\"gpu\"}" TAIL, ":2:2", "one of port, switch, endpoint, device");
	refuse(ROOT "\n{\"model\":\"warp\"}" TAIL, ":2:2",
	       "there is no model \"warp\", but mem, dma, accel");
	refuse(ROOT "\n{\"model\":\"mem\",\n \"sise\":\"1M\"}" TAIL, ":3:2",
	       "\"size\" is missing; it did not ask for \"sise\"");
	refuse(ROOT "\n{\"model\":\"mem\"}" TAIL, ":2:2", "\"size\" is missing");
	refuse(ROOT "\n{\"class\":\"0108\"," MEM "}" TAIL, ":2:2", "6 hex digits");
	refuse(ROOT "\n{\"class\":\"0x0108\"," MEM "}" TAIL, ":2:2", "6 hex digits");
	refuse(ROOT "\n{\"type\":\"port\",\"class\":\"010802\"}" TAIL, ":2:16", "no key");
	refuse(ROOT "\n{" MEM ",\"colour\":1}" TAIL, ":2:29", "no parameter \"colour\"");
	refuse(ROOT "\n{\"model\":\"mem\",\"size\":true}" TAIL, ":2:16", "\"size\"");
	refuse(ROOT "\n{\"model\":\"mem\",\"size\":\"3K\"}" TAIL, ":2:2", "power of two");
	refuse(ROOT "\n{\"type\":\"switch\",\"size\":1}" TAIL, ":2:18", "unknown key");
	refuse(ROOT "\n{\"type\":\"switch\",\"vfs\":1}" TAIL, ":2:18", "no key of such an element");
	refuse(ROOT "\n{\"type\":\"switch\",\"model\":\"mem\"}" TAIL, ":2:18", "no key");
	refuse(ROOT "\n{\"type\":\"bridge\",\"link\":\"gen1 x1\"}" TAIL, ":2:18", "no key");
	refuse(ROOT "\n{\"link\":\"gen7 x1\"," MEM "}" TAIL, ":2:2", "\"gen4 x16\"");
	refuse(ROOT "\n{\"link\":\"gen4 x3\"," MEM "}" TAIL, ":2:2", "\"gen4 x16\"");
	refuse(ROOT "\n{\"link\":\"gen4 x16 \"," MEM "}" TAIL, ":2:2", "\"gen4 x16\"");
	refuse(ROOT "\n{\"link\":\"gen4 x4\",\"trained\":\"gen4 x8\"," MEM "}" TAIL, ":2:19",
	       "more than \"link\"");
	refuse(ROOT "\n{\"max_mps\":384," MEM "}" TAIL, ":2:2", "power of two from 128 to 4096");
	refuse(ROOT "\n{\"mps\":1024," MEM "}" TAIL, ":2:2", "from 128 to 512");
	refuse(ROOT "\n{\"tags\":64," MEM "}" TAIL, ":2:2", "32 or 256");
	refuse(ROOT "\n{\"ats\":0," MEM "}" TAIL, ":2:2", "true or false");
	refuse(ROOT "\n{\"absent\":\"yes\"," MEM "}" TAIL, ":2:2", "true or false");
	refuse(ROOT "{\"type\":\"port\",\n\"port_number\":255}" TAIL, ":2:1", "from 0 to 254");
	refuse(ROOT "{\"type\":\"switch\",\"below\":[{\"type\":\"port\",\"port_number\":7},{" MEM
	            "},\n{\"type\":\"port\",\"port_number\":7}]}" TAIL,
	       ":2:16", "another port of the switch has it");
	refuse(ROOT "{\"type\":\"port\",\n\"latency_ns\":-1}" TAIL, ":2:1", "whole number");
	refuse(ROOT "{\"type\":\"device\",\n\"functions\":[]}" TAIL, ":2:1", "1 to 8 objects");
	refuse(ROOT "{\"type\":\"device\"}" TAIL, ":1:58", "1 to 8 objects");
	refuse(ROOT "{\"functions\":[{},{},{},{},{},{},{},{},{}]}" TAIL, ":1:59", "1 to 8 objects");
	refuse(ROOT "{\"functions\":[{},\n[]]}" TAIL, ":2:1", "expected an object");
	refuse(ROOT "{\"functions\":[{},\n{\"link\":\"gen1 x1\"}]}" TAIL, ":2:2", "no key");
	refuse(ROOT "{\"type\":\"port\",\"below\":[\n{\"type\":\"port\"}]}" TAIL, ":2:2",
	       "a port has");
	refuse(ROOT "{\"type\":\"port\",\n\"below\":[{" MEM "},{" MEM "}]}" TAIL, ":2:1",
	       "no more than 1 element here");
	refuse(ROOT "{\"type\":\"bridge\",\"below\":[\n{" MEM "}]}" TAIL, ":2:1", "a bridge has");
	refuse(ROOT "{\"type\":\"switch\",\"below\":[\n{\"type\":\"integrated\"}]}" TAIL, ":2:2",
	       "a switch has");
	refuse(ROOT "\n{\"vfs\":65536," MEM "}" TAIL, ":2:2", "from 0 to 65535");
}

static void mistakes_of_acs_are_named(void **state)
{
	(void)state;
#define PORT ROOT "{\"type\":\"port\",\n"
	refuse(PORT "\"acs\":1}" TAIL, ":2:1", "\"none\" or an object");
	refuse(PORT "\"acs\":\"all\"}" TAIL, ":2:1", "\"none\" or an object");
	refuse(PORT "\"acs\":{\"extra\":1}}" TAIL, ":2:8", "unknown key");
	refuse(PORT "\"acs\":{\"control\":\"some\"}}" TAIL, ":2:8", "list of names");
	refuse(PORT "\"acs\":{\"control\":[\n\"ReqRedir\",\n\"Req\"]}}" TAIL, ":4:1", "SrcValid");
	refuse(PORT "\"acs\":{\"control\":[\ntrue]}}" TAIL, ":3:1", "SrcValid");
	refuse(PORT "\"acs\":{\"capability\":[],\"control\":[\n\"ReqRedir\"]}}" TAIL, ":3:1",
	       "has");
	refuse(PORT "\"acs\":{\"capability\":[],\"egress\":[1]}}" TAIL, ":2:24", "EgressCtrl");
	refuse(PORT "\"acs\":{\"egress\":[0,\n255]}}" TAIL, ":3:1", "from 0 to 254");
	refuse(ROOT "{\"acs\":{\"capability\":[\n\"UpstreamFwd\"]}," MEM "}" TAIL, ":2:1",
	       "this function has");
#undef PORT
}

static void refuse_many(const char *head, const char *element, size_t count, const char *tail,
                        const char *place, const char *cause)
{
	char *text = repeat(head, element, count, tail);

	refuse(text, place, cause);
	free(text);
}

static void limits_are_told(void **state)
{
	char *text, *end;

	(void)state;
	refuse_many(HEAD "\"roots\":[{\n\"below\":[", "{" MEM "}", 32, TAIL, ":2:1",
	            "no more than 31");
	refuse_many(HEAD "\"roots\":[{\"below\":[{\"type\":\"switch\",\n\"below\":[", "{" MEM "}",
	            33, "]}" TAIL, ":2:1", "no more than 32");
	refuse_many(HEAD "\n\"roots\":[", "{}", 4001, "]}", ":2:1", "1 to 4000");
	refuse_many(HEAD "\"roots\":[", "{\"below\":[{\"type\":\"switch\"}]}", 86, "]}", "",
	            "0000:ff:01.0: no bus numbers are left for what is below it");
	refuse_many(HEAD "\"roots\":[", "{}", 257, "]}", "", "roots[256]: domain 0000 has no bus");
	/* VFs of a device of 256 functions are 256 apart. */
	refuse_many(ROOT "{\"ari\":true,\"functions\":[{\"vfs\":255,\"name\":\"eth0\"," MEM "},",
	            "{}", 255, "]}" TAIL, "",
	            "0000:01:00.0 (eth0): no bus numbers are left for it");
	text = malloc(1 << 20);
	assert_non_null(text);
	end = stpcpy(text, HEAD "\"roots\":[{\"below\":[");
	for (int i = 0; i < 70; i++)
		end = stpcpy(end, "\n{\"type\":\"switch\",\"below\":[");
	for (int i = 0; i < 70; i++)
		end = stpcpy(end, "]}");
	strcpy(end, TAIL);
	refuse(text, ":65:18", "more than 64 deep");
	free(text);
}

static void addresses_run_out_by_name(void **state)
{
	char element[64 + 31 * 20] = "", text[1 << 18] = HEAD "\"roots\":[";

	(void)state;
	for (int i = 0; i < 70; i++) {
		sprintf(element, "%s{\"domain\":%d,\"below\":[", i ? "," : "", i);
		strcat(text, element);
		for (int j = 0; j < 31; j++)
			strcat(text,
			       j ? ",{\"model\":\"dma\"}" : "{\"model\":\"dma\",\"name\":\"x\"}");
		strcat(text, "]}");
	}
	strcat(text, "]}");
	/* 2028 windows of 1 MiB fit: 65 root complexes with 31 each. */
	refuse(text, "", "0041:01:00.0 (x): no addresses below 4 GiB are left: BAR 0");
	strcpy(text, ROOT);
	for (int i = 0; i < 31; i++)
		strcat(text, i ? ",{\"functions\":[{\"model\":\"mem\",\"size\":\"16T\",\"vfs\":8}]}"
		               : "{\"model\":\"mem\",\"size\":\"16T\"}");
	strcat(text, TAIL);
	refuse(text, "", "0000:02:00.0: no addresses in 52 bits are left: VF BAR 0");
}

static void a_file_must_be_there_and_be_text(void **state)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric = NULL;

	(void)state;
	assert_int_equal(fabric_read("/nonexistent/x.json", NULL, &err, &fabric), -ENOENT);
	assert_string_equal(err.text, "/nonexistent/x.json: No such file or directory");
	assert_int_equal(fabric_read("/", NULL, &err, &fabric), -EISDIR);
	assert_int_equal(read_text_of("{\0}", 3, &err, &fabric), -EPROTO);
	assert_int_equal(read_text_of("00:00\0", 6, &err, &fabric), -EPROTO);
	assert_int_not_equal(read_text_of("", 0, &err, &fabric), 0);
	assert_null(fabric);
}

/* Cut anywhere, or with any byte another, it is read or refused with a reason. */
static void any_damage_is_survived(void **state)
{
	static const char bytes[] = "{}[]\",:0-9e.tx\\ \n\x01\x80";
	struct p2pdma_error err;
	struct fabric *fabric;
	char *text;
	size_t length;

	(void)state;
	assert_int_equal(read_text("data/sim/two-socket.json", &err, &text, &length), 0);
	for (size_t i = 0; i < length; i += 3)
		for (size_t j = 0; j < sizeof(bytes); j += 4) {
			char saved = text[i];

			err.text[0] = '\0';
			fabric = NULL;
			text[i] = bytes[(i + j) % (sizeof(bytes) - 1)];
			if (read_text_of(text, j ? length : i, &err, &fabric))
				assert_true(!fabric && err.text[0]);
			fabric_free(fabric);
			text[i] = saved;
		}
	free(text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syntax_errors_name_the_place),
		cmocka_unit_test(mistakes_at_the_top_are_named),
		cmocka_unit_test(a_capture_that_cannot_be_read_is_named),
		cmocka_unit_test(mistakes_of_elements_are_named),
		cmocka_unit_test(mistakes_of_acs_are_named),
		cmocka_unit_test(limits_are_told),
		cmocka_unit_test(addresses_run_out_by_name),
		cmocka_unit_test(a_file_must_be_there_and_be_text),
		cmocka_unit_test(any_damage_is_survived),
	};

	return RUN_IN_SOURCE(tests);
}
