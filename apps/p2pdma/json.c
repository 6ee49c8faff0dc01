/* SPDX-License-Identifier: MIT */
/*
 * json.c - parts of JSON that several verbs print (docs/schema/).
 */
#include <stdlib.h>

#include "app.h"

json_t *json_bdf(const struct p2pdma_device *device)
{
	char text[BDF_TEXT];

	return json_string(bdf_text(device, text));
}

static json_t *json_distance(int16_t distance)
{
	return distance < 0 ? json_null() : json_integer(distance);
}

static json_t *json_hazards(const struct p2pdma_explanation *explanation,
                            enum p2pdma_severity severity)
{
	json_t *array = json_array();

	for (size_t i = 0; i < explanation->hazard_count; i++) {
		const struct p2pdma_hazard *hazard = &explanation->hazards[i];

		if (hazard->severity == severity)
			json_array_append_new(array, json_pack("{s:s, s:o}", "code",
			                                       hazard_text(hazard->code), "at",
			                                       json_bdf(hazard->device)));
	}
	return array;
}

json_t *json_pair(const struct app *app, const struct p2pdma_device *provider,
                  const struct p2pdma_device *client, const struct p2pdma_explanation *explanation)
{
	const struct p2pdma_route route = explanation->route;

	return json_pack("{s:o, s:o, s:s, s:{s:s, s:o}, s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:o, s:o}",
	                 "provider", json_bdf(provider), "client", json_bdf(client), "answer",
	                 answer_text(p2pdma_route_answer(route, app->op)), "kernel", "map_type",
	                 map_type_text(route.map_type), "distance", json_distance(route.distance),
	                 "write", "verdict", verdict_text(route.write), "request",
	                 turn_text(route.request), "read", "verdict", verdict_text(route.read),
	                 "request", turn_text(route.request), "completion",
	                 turn_text(route.completion), "stops",
	                 json_hazards(explanation, P2PDMA_STOPS), "slows",
	                 json_hazards(explanation, P2PDMA_SLOWS));
}

json_t *json_heading(const struct app *app, const char *format)
{
	char profile[32];

	snprintf(profile, sizeof(profile), "linux-%u.%u", app->routes_info.profile.major,
	         app->routes_info.profile.minor);
	return json_pack("{s:s, s:i, s:s}", "format", format, "version", 1, "profile", profile);
}

int json_print(json_t *object)
{
	int r = json_dumpf(object, stdout, JSON_INDENT(2));

	json_decref(object);
	putchar('\n');
	if (r && !ferror(stdout)) /* of a write that failed main() tells */
		complain(EXIT_INPUT, "out of memory");
	return r ? EXIT_INPUT : 0;
}
