/* SPDX-License-Identifier: MIT */
/* A program of somebody else's, in the words that C and C++ share: tests/abi/install.sh. */
#include <errno.h>
#include <stdio.h>

#include <p2pdma/machine.h>
#include <p2pdma/route.h>

int main(void)
{
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_profile profile;
	struct p2pdma_error err;
	int r = p2pdma_machine_open("nonsense:", &err, &machine);

	if (r != -EINVAL || machine || !err.text[0])
		return 1;
	r = p2pdma_profile_parse("linux-7.2", &profile);
	if (r || profile.major != 7 || profile.minor != 2)
		return 2;
	printf("p2pdma_machine_open: %s\n", err.text);
	return 0;
}
