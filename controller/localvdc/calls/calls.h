/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers and jobs that the table of calls names, by the file that holds them. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_CALLS_CALLS_H
#define MUSTER_CONTROLLER_LOCALVDC_CALLS_CALLS_H

#include "common/str.h"
#include "controller/localvdc/api/api.h"

extern const struct api_table calls_table;

/* catalog.c: what there is from the start */
int call_list_zones(struct api_rq *rq);
int call_list_templates(struct api_rq *rq);
int call_list_service_offerings(struct api_rq *rq);
int call_list_disk_offerings(struct api_rq *rq);
int job_template(struct api_job *job, struct err *err);
/* One entry by its id, a new reference; NULL: none. */
json_t *catalog_service_offering(const char *id);
json_t *catalog_disk_offering(const char *id);
json_t *catalog_template(const char *id);
/* Where the files of the template of that name are, or will be. */
void catalog_template_dir(const char *name, char *ret, size_t cap);

/* server.c */
int call_list_capabilities(struct api_rq *rq);
int call_list_apis(struct api_rq *rq);
int call_query_job(struct api_rq *rq);
int call_list_jobs(struct api_rq *rq);
int call_list_hypervisors(struct api_rq *rq);
int call_list_os_types(struct api_rq *rq);
int call_list_none(struct api_rq *rq);
int call_list_users(struct api_rq *rq);
int call_list_accounts(struct api_rq *rq);

/* network.c: the VDC's networks */
int call_create_local_network(struct api_rq *rq);
int call_create_private_direct_connect(struct api_rq *rq);
int call_create_dcg(struct api_rq *rq);
int call_list_dcgs(struct api_rq *rq);
int call_list_networks(struct api_rq *rq);
int call_delete_network(struct api_rq *rq);
/* A new document, not stored; NULL: refused. */
json_t *network_new(struct api_rq *rq, const json_t *zone, const char *cidr, const char *gateway,
                    const char *name);
int job_delete_network(struct api_job *job, struct err *err);
int job_provision(struct api_job *job, struct err *err);
int job_update(struct api_job *job, struct err *err);

/* offering.c: CloudStack's networks */
int call_list_network_offerings(struct api_rq *rq);
int call_create_network(struct api_rq *rq);
int call_update_network(struct api_rq *rq);
int call_restart_network(struct api_rq *rq);
int job_update_network(struct api_job *job, struct err *err);
int job_restart_network(struct api_job *job, struct err *err);
/* Names the offering that a network of the VDC is like. */
void offering_set(json_t *network, bool source_nat);

/* ip.c */
int call_list_public_ips(struct api_rq *rq);
int call_associate_ip(struct api_rq *rq);
int call_disassociate_ip(struct api_rq *rq);
int call_enable_static_nat(struct api_rq *rq);
int call_disable_static_nat(struct api_rq *rq);
int job_associate_ip(struct api_job *job, struct err *err);
int job_disassociate_ip(struct api_job *job, struct err *err);
int job_disable_static_nat(struct api_job *job, struct err *err);
void undo_associate_ip(struct api_job *job);
/* Stores a public address for the network, the asked one or any (NULL); within a transaction. */
json_t *ip_new(struct api_rq *rq, const json_t *network, const char *asked, bool source_nat);
/* Ends static NAT to the guest. */
int ip_forget_vm(struct vdb *db, const char *vm_id, struct err *err);

/* rule.c: egress, port forwards, firewall */
int call_create_egress(struct api_rq *rq);
int call_list_egress(struct api_rq *rq);
int call_delete_egress(struct api_rq *rq);
int call_create_forward(struct api_rq *rq);
int call_list_forwards(struct api_rq *rq);
int call_delete_forward(struct api_rq *rq);
int call_create_firewall(struct api_rq *rq);
int call_list_firewall(struct api_rq *rq);
int call_delete_firewall(struct api_rq *rq);
int job_create_rule(struct api_job *job, struct err *err);
int job_delete_rule(struct api_job *job, struct err *err);
void undo_create_rule(struct api_job *job);
/* The guest's address in the network; NULL: it is not in it. */
const char *nic_address(const json_t *vm, const char *network_id);

/* key.c */
int call_register_key(struct api_rq *rq);
int call_create_key(struct api_rq *rq);
int call_list_keys(struct api_rq *rq);
int call_delete_key(struct api_rq *rq);

/* tag.c */
int call_create_tags(struct api_rq *rq);
int call_delete_tags(struct api_rq *rq);
int call_list_tags(struct api_rq *rq);
/* Adds the tags of the call that makes the entity. */
void tags_given(struct api_rq *rq, json_t *tags, const char *type, const char *id);
int job_nothing(struct api_job *job, struct err *err);

/* userdata.c */
int call_register_userdata(struct api_rq *rq);
int call_list_userdata(struct api_rq *rq);
int call_delete_userdata(struct api_rq *rq);
int call_get_userdata(struct api_rq *rq);
int call_reset_userdata(struct api_rq *rq);
/* The members (null: to be deleted) that a guest's document gets from userdata or userdataid and
 * userdatadetails; NULL when none is given. */
int userdata_of(struct api_rq *rq, json_t **ret);

/* affinity.c */
int call_create_affinity(struct api_rq *rq);
int call_list_affinity_types(struct api_rq *rq);
int call_list_affinity(struct api_rq *rq);
int call_delete_affinity(struct api_rq *rq);
int job_create_affinity(struct api_job *job, struct err *err);
/* The groups that a deployment names. */
int affinity_of(struct api_rq *rq, json_t **ret);

/* nic.c */
#define NICS_MAX 8
int call_list_nics(struct api_rq *rq);
int call_add_nic(struct api_rq *rq);
int call_remove_nic(struct api_rq *rq);
int job_nics(struct api_job *job, struct err *err);
/* Appends a NIC in the network; `ip` and `mac` may be NULL. */
int nic_add(struct api_rq *rq, json_t *nics, const char *network_id, const char *zone_id,
            const char *ip, const char *mac);

/* change.c */
#define PASSWORD_CHARS 10
int call_update_vm(struct api_rq *rq);
int call_change_service(struct api_rq *rq);
int call_recover_vm(struct api_rq *rq);
int call_expunge_vm(struct api_rq *rq);
int call_reset_key(struct api_rq *rq);
int job_reset_key(struct api_job *job, struct err *err);
/* {"virtualmachine": …} as it is now; NULL: it is gone. */
json_t *vm_result(struct vdb *db, const char *id);
/* Puts the password that the job carries into its result: it is shown there only. */
void vm_show_password(struct api_job *job);
/* The guest named by `id`, which must be stopped; NULL: refused. */
json_t *vm_need_stopped(struct api_rq *rq);
/* The names in keypairs or keypair, and the keys' texts, one a line; NULL: refused. */
json_t *vm_keypairs(struct api_rq *rq, struct strbuf *ret_keys);
void vm_set_keypairs(json_t *vm, const json_t *names);

/* deploy.c, vm.c */
int vm_check_name(struct api_rq *rq, const char *name);
int call_deploy_vm(struct api_rq *rq);
int call_list_vms(struct api_rq *rq);
int call_start_vm(struct api_rq *rq);
int call_stop_vm(struct api_rq *rq);
int call_reboot_vm(struct api_rq *rq);
int call_destroy_vm(struct api_rq *rq);
int job_start_vm(struct api_job *job, struct err *err);
int job_stop_vm(struct api_job *job, struct err *err);
int job_reboot_vm(struct api_job *job, struct err *err);
int job_destroy_vm(struct api_job *job, struct err *err);
int job_resume(struct api_job *job, struct err *err);
void undo_start_vm(struct api_job *job);
/* Corrects the state of a guest that ended by itself. */
void vm_refresh(struct vdb *db, json_t *vm);

/* snapshot.c */
int call_create_snapshot(struct api_rq *rq);
int call_list_snapshots(struct api_rq *rq);
int call_delete_snapshot(struct api_rq *rq);
int job_create_snapshot(struct api_job *job, struct err *err);
int job_delete_snapshot(struct api_job *job, struct err *err);
void undo_create_snapshot(struct api_job *job);
void undo_delete_snapshot(struct api_job *job);
void snapshot_path(const char *id, char *ret, size_t cap);
/* Whether one is being made. */
bool snapshot_is_made_of(struct vdb *db, const char *volume_id);
/* Brings to an end what jobs left whose processes were killed too often; the jobs that are open are
 * done again by themselves. */
void snapshot_sweep(struct vdb *db);

/* volume.c */
int call_create_volume(struct api_rq *rq);
int call_list_volumes(struct api_rq *rq);
int call_attach_volume(struct api_rq *rq);
int call_detach_volume(struct api_rq *rq);
int call_delete_volume(struct api_rq *rq);
int call_resize_volume(struct api_rq *rq);
int job_resize_volume(struct api_job *job, struct err *err);
/* A new document, of parameter `size`, not stored; NULL: refused. */
json_t *volume_new(struct api_rq *rq, const char *name, const json_t *zone, const json_t *offering);
/* Writes the guest into the volume's document. */
void volume_claim(json_t *volume, const json_t *vm, json_int_t device);
/* Its file, unless that was made before. */
int volume_make(struct vdb *db, const json_t *volume, struct err *err);
int volume_delete(struct vdb *db, const char *id, struct err *err);
int job_create_volume(struct api_job *job, struct err *err);
int job_attach_volume(struct api_job *job, struct err *err);
int job_detach_volume(struct api_job *job, struct err *err);
void undo_create_volume(struct api_job *job);
/* It is nobody's. */
int volume_set_loose(struct vdb *db, const char *id, struct err *err);
/* Takes all of a guest's volumes off; they stay. */
int volume_unplug_all(struct vdb *db, const char *vm_id, struct err *err);

#endif
