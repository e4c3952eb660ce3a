data "aws_iam_policy_document" "ec2_takes_the_role" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "master" {
  name               = local.master_name
  assume_role_policy = data.aws_iam_policy_document.ec2_takes_the_role.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "master" {
  for_each = local.master_policies

  name   = each.key
  role   = aws_iam_role.master.id
  policy = templatefile("${path.module}/../policies/${each.key}.json", local.placeholders)
}

# For a master on an instance. One elsewhere gets the same policies by other means.
resource "aws_iam_instance_profile" "master" {
  name = local.master_name
  role = aws_iam_role.master.name
  tags = var.tags
}

resource "aws_iam_role" "worker" {
  name               = local.worker_name
  assume_role_policy = data.aws_iam_policy_document.ec2_takes_the_role.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "worker" {
  for_each = local.worker_policies

  name   = each.key
  role   = aws_iam_role.worker.id
  policy = templatefile("${path.module}/../policies/${each.key}.json", local.placeholders)
}

resource "aws_iam_instance_profile" "worker" {
  name = local.worker_name
  role = aws_iam_role.worker.name
  tags = var.tags
}
