/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers and jobs that the table of calls names, by the file that holds them. */
#ifndef MUSTER_VDC_CALLS_H
#define MUSTER_VDC_CALLS_H

#include "controller/localvdc/api.h"

/* call_catalog.c: what there is from the start */
int call_list_zones(struct api_rq *rq);
int call_list_templates(struct api_rq *rq);
int call_list_service_offerings(struct api_rq *rq);
int call_list_disk_offerings(struct api_rq *rq);
int call_list_capabilities(struct api_rq *rq);
int call_list_apis(struct api_rq *rq);
int call_query_job(struct api_rq *rq);
int job_template(struct api_job *job, struct err *err);
/* One entry by id or name (either may be NULL), a new reference; NULL: none. */
json_t *catalog_zone(const char *id, const char *name);
json_t *catalog_service_offering(const char *id);
json_t *catalog_disk_offering(const char *id);
json_t *catalog_template(const char *id);

/* call_network.c */
int call_create_local_network(struct api_rq *rq);
int call_create_private_direct_connect(struct api_rq *rq);
int call_create_dcg(struct api_rq *rq);
int call_list_dcgs(struct api_rq *rq);
int call_list_networks(struct api_rq *rq);
int call_delete_network(struct api_rq *rq);
int call_list_public_ips(struct api_rq *rq);
int job_delete_network(struct api_job *job, struct err *err);
int job_provision(struct api_job *job, struct err *err);

/* call_rule.c: egress, port forwards, firewall */
int call_create_egress(struct api_rq *rq);
int call_list_egress(struct api_rq *rq);
int call_delete_egress(struct api_rq *rq);
int call_create_forward(struct api_rq *rq);
int call_list_forwards(struct api_rq *rq);
int call_delete_forward(struct api_rq *rq);
int call_list_firewall(struct api_rq *rq);
int call_delete_firewall(struct api_rq *rq);
int job_create_rule(struct api_job *job, struct err *err);
int job_delete_rule(struct api_job *job, struct err *err);
void undo_create_rule(struct api_job *job);

/* call_key.c: SSH keys and tags */
int call_register_key(struct api_rq *rq);
int call_list_keys(struct api_rq *rq);
int call_delete_key(struct api_rq *rq);
int call_create_tags(struct api_rq *rq);
int call_delete_tags(struct api_rq *rq);
int call_list_tags(struct api_rq *rq);
int job_nothing(struct api_job *job, struct err *err);

/* call_deploy.c, call_vm.c */
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

/* call_volume.c */
int call_create_volume(struct api_rq *rq);
int call_list_volumes(struct api_rq *rq);
int call_attach_volume(struct api_rq *rq);
int call_detach_volume(struct api_rq *rq);
int call_delete_volume(struct api_rq *rq);
int job_create_volume(struct api_job *job, struct err *err);
int job_attach_volume(struct api_job *job, struct err *err);
int job_detach_volume(struct api_job *job, struct err *err);
void undo_create_volume(struct api_job *job);
/* Puts the volume's file on a loop device and tells the kernel its partitions. */
int volume_plug(const char *id, struct err *err);
/* Takes all of a guest's volumes off; they stay. */
int volume_unplug_all(struct vdb *db, const char *vm_id, struct err *err);

#endif
