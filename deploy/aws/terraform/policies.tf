# The policies are the files of ../policies, which say what each right is for.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name = "s3bl-${var.channel}"

  placeholders = {
    partition      = data.aws_partition.current.partition
    region         = data.aws_region.current.name
    account        = data.aws_caller_identity.current.account_id
    channel        = var.channel
    bucket         = var.bucket
    prefix         = var.prefix
    worker_profile = local.worker_name
    worker_role    = local.worker_name
    source_host    = var.source_host
    program        = var.program
    join_key       = var.join_key
    logs           = var.logs
  }

  # Names that do not depend on what is made, so that each policy can name the other's role.
  master_name = "${local.name}-master"
  worker_name = "${local.name}-worker"

  logs_policies   = var.logs == "" ? [] : ["logs"]
  master_policies = toset(concat(["master", "launcher"], local.logs_policies))
  worker_policies = toset(concat(["worker", "instance"], local.logs_policies))
}
