data "aws_vpc" "workers" {
  id = var.vpc_id
}

# Nothing comes in: workers ask, and nobody asks them.
resource "aws_security_group" "worker" {
  name        = local.worker_name
  description = "Workers of s3-bucket-loader: nothing in, HTTPS and the source out"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = local.worker_name })

  egress {
    description = "S3, SQS, SNS, SSM"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }

  dynamic "egress" {
    for_each = var.source_ports

    content {
      description = "The source"
      from_port   = egress.value
      to_port     = egress.value
      protocol    = "tcp"
      cidr_blocks = [data.aws_vpc.workers.cidr_block]
    }
  }
}

# Objects go to S3 by this and not by a NAT gateway, which would be billed by the gigabyte.
resource "aws_vpc_endpoint" "s3" {
  count = length(var.route_table_ids) == 0 ? 0 : 1

  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  tags              = merge(var.tags, { Name = "${local.name}-s3" })
}
