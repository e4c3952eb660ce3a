"""Prints every object of a bucket as one JSON line, read by boto3 and so by none of our code.

Usage: dump_bucket.py BUCKET [PREFIX]

The server comes from the usual AWS_* variables. Each line has: key (base64 of its UTF-8 bytes), size, etag (without
quotes, empty if there is none), content_type, metadata (names in lower case), sha256 (of the body as downloaded, hex) and, for a body of at
most 4 KiB, body (base64). Lines are in the order of the keys' bytes.
"""

import base64
import hashlib
import json
import sys

import boto3
from botocore.config import Config

BODY_SHOWN_MAX = 4096


def describe(client, bucket, key):
    """Downloads one object and returns what is to be known of it."""
    answer = client.get_object(Bucket=bucket, Key=key)
    digest = hashlib.sha256()
    size = 0
    start = b""
    for chunk in answer["Body"].iter_chunks(1 << 20):
        digest.update(chunk)
        size += len(chunk)
        if len(start) <= BODY_SHOWN_MAX:
            start += chunk[: BODY_SHOWN_MAX + 1]
    return {
        "key": base64.b64encode(key.encode()).decode(),
        "size": size,
        "etag": answer.get("ETag", "").strip('"'),
        "content_type": answer.get("ContentType"),
        "metadata": {name.lower(): value for name, value in answer["Metadata"].items()},
        "sha256": digest.hexdigest(),
        "body": base64.b64encode(start).decode() if size <= BODY_SHOWN_MAX else None,
    }


def main():
    bucket = sys.argv[1]
    prefix = sys.argv[2] if len(sys.argv) > 2 else ""
    # A hidden retry would hide the fault that a test put there.
    style = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
    client = boto3.client("s3", config=style)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [listed["Key"] for page in pages for listed in page.get("Contents", [])]
    for key in sorted(keys, key=str.encode):
        print(json.dumps(describe(client, bucket, key)))


if __name__ == "__main__":
    main()
