output "master_flags" {
  description = "What to say to `s3-bucket-loader master` after source and destination, beside --workers and --join-key-file."
  value = join(" ", concat([
    "--transport aws",
    "--region ${data.aws_region.current.name}",
    "--channel ${var.channel}",
    "--launcher ec2",
    "--ec2-launch-template ${aws_launch_template.worker.id}",
    "--ec2-instance-profile ${aws_iam_instance_profile.worker.name}",
    "--ec2-subnet ${join(",", var.subnet_ids)}",
    "--ec2-program s3://${var.program}",
    "--ec2-join-key ssm:${var.join_key}",
    ], var.source_host == "" ? [] : [
    "--source-host-instance ${var.source_host} --source-host-stop",
    ], var.logs == "" ? [] : [
    "--log-upload s3://${trimsuffix(var.logs, "/")}",
    "--worker-options '--log-upload s3://${trimsuffix(var.logs, "/")}'",
  ]))
}

output "destination" {
  description = "The destination that the policies allow."
  value       = "s3://${var.bucket}/${var.prefix}"
}

output "master_instance_profile" {
  description = "Instance profile for a master on an instance."
  value       = aws_iam_instance_profile.master.name
}

output "worker_role" {
  description = "Role of the workers: the key that encrypts the join key or the bucket has to allow it, where it is one of yours."
  value       = aws_iam_role.worker.arn
}
