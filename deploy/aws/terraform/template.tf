data "aws_ssm_parameter" "image" {
  name = var.image_parameter
}

# What every worker's instance is like. The master adds subnet, user data and tags as it launches one.
resource "aws_launch_template" "worker" {
  name                                 = local.worker_name
  image_id                             = data.aws_ssm_parameter.image.value
  instance_type                        = var.instance_type
  instance_initiated_shutdown_behavior = "terminate"
  update_default_version               = true
  vpc_security_group_ids               = [aws_security_group.worker.id]
  tags                                 = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.worker.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
}
