/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a deployment file: problems or a spec, never a crash; a good spec can be planned. */
#include "common/keys.h"
#include "controller/cloud/resources.h"
#include "controller/spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spec_problems problems = {0};
    struct yaml_doc doc = {0};
    struct resources resources = {0};
    struct spec spec = {0};
    struct err err;

    if (size > 16384 || yaml_doc_parse("f", (const char *)data, size, &doc, &err) < 0)
        return 0;
    if (spec_parse("f", &doc, &spec, &problems) == 0) {
        resources_build(&spec, &resources);
        resources_free(&resources);
        spec_free(&spec);
    }
    spec_problems_free(&problems);
    yaml_doc_free(&doc);
    return 0;
}
