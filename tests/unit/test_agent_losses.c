/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules of the coordinator in which data was lost, or a loss was accepted. */
#include "cluster_world.h"

#include "agent/cluster_codec.h"
#include "common/js.h"

/* Only the data disk is new. The record of the root disk is written to it before it is looked at,
 * and again afterwards: that does not make it the disk that had the data. */
static void test_new_disk_gets_a_record(void **state)
{
    (void)state;
    struct world *w = two();
    struct node *fra = get(w, "fra"), *par = get(w, "par");
    power_loss_of_all(w);
    par->seqno = 105;
    par->kind = DATADIR_FRESH;
    par->on_disk = false;
    str_copy(fra->record.hw_uuid, 37, UUID); /* news for par, which saves them */
    fra->record.hw = 50;
    power_on(w, "fra");
    power_on(w, "par");
    run(w, 100);
    assert_true(par->on_disk);
    assert_waits_for(w, "fra", "par");
    power_off(par);
    power_on(w, "par");
    run(w, 100);
    assert_waits_for(w, "fra", "par");
    /* The word of an operator ends it, and the disk has data from then on. */
    assert_true(recover(w, "fra", "par"));
    run(w, 60);
    assert_all_serve(w);
    assert_false(par->record.new_disk);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_disk_gets_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
