variable "bucket" {
  description = "Bucket that the fleet writes to. It exists already."
  type        = string
}

variable "prefix" {
  description = "Prefix in the bucket, with a slash at its end; empty for the whole bucket."
  type        = string
  default     = ""

  validation {
    condition     = var.prefix == "" || endswith(var.prefix, "/")
    error_message = "The prefix ends with a slash, or is empty."
  }
}

variable "channel" {
  description = "Channel on which master and workers meet; part of the names of its queues and its topic."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the workers."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the workers, from which SQS, SNS, SSM and EC2 can be reached: by NAT, public addresses or interface endpoints."
  type        = list(string)
}

variable "route_table_ids" {
  description = "Route tables of those subnets, which get the gateway endpoint of S3; none where they have one."
  type        = list(string)
  default     = []
}

variable "program" {
  description = "Where instances get the program: bucket and key, as my-tools/s3-bucket-loader."
  type        = string
}

variable "join_key" {
  description = "Name of the parameter in Systems Manager that holds the join key, without a slash before it. It is made by hand, so that no state of Terraform holds the key."
  type        = string
  default     = "s3bl-join-key"
}

variable "logs" {
  description = "Where master and workers upload their logs: bucket and prefix, with a slash at its end, as my-logs/s3bl/; empty for nowhere."
  type        = string
  default     = ""
}

variable "source_host" {
  description = "Instance that the master starts before a run and stops after it, as i-0123456789abcdef0; empty for none."
  type        = string
  default     = ""
}

variable "source_ports" {
  description = "TCP ports by which workers reach the source in the VPC: 2049 is NFS."
  type        = set(number)
  default     = [2049]
}

variable "image_parameter" {
  description = "Public parameter that names the image. It has bash, curl and the AWS CLI, and the architecture of the instance type."
  type        = string
  default     = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

variable "instance_type" {
  description = "Type of the instances."
  type        = string
  default     = "c7i.large"
}

variable "tags" {
  description = "Tags of everything that is made here."
  type        = map(string)
  default     = {}
}
