#!/usr/bin/env python3
"""The null server as boto3 sees it: an S3 client that knows nothing of this project.

    cargo build -p null-server && python3 -m unittest bench/null-server/tests/test_boto3.py

NULL_SERVER names another binary than target/debug/null-server. Needs boto3 and openssl.
"""

import io
import json
import os
import signal
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("NULL_SERVER", str(ROOT / "target/debug/null-server"))


class NullServerTest(unittest.TestCase):
    def start(self, *flags, scheme="http", ca=None, attempts=1):
        """Starts a server for this test and answers a client of it."""
        self.server = subprocess.Popen([BINARY, *flags], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        line = self.server.stdout.readline()
        self.assertRegex(line, r"^listening on 127\.0\.0\.1:\d+$")
        self.url = f"{scheme}://{line.split()[-1]}"
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="null",
            aws_secret_access_key="null",
            verify=ca,
            config=Config(retries={"total_max_attempts": attempts}),
        )

    def stop(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(timeout=20), 0)
        self.server.stdout.close()

    def stats(self):
        with urllib.request.urlopen(f"{self.url}/-/stats", timeout=20) as reply:
            return json.load(reply)

    def test_put_head_list_delete(self):
        s3 = self.start("--remember", "--etag", "md5")
        names = ["a/ü +&<>.txt", "a/b/1", "a/b/2", "a", "z"]
        for name in names:
            s3.put_object(Bucket="b", Key=name, Body=b"123456789")

        head = s3.head_object(Bucket="b", Key=names[0], ChecksumMode="ENABLED")
        self.assertEqual(head["ContentLength"], 9)
        self.assertEqual(head["ETag"], '"25f9e794323b453885f5181f1b624d0b"')
        self.assertEqual(head["ChecksumCRC64NVME"], "rosUhgp5mIg=")

        pages = s3.get_paginator("list_objects_v2").paginate(Bucket="b", PaginationConfig={"PageSize": 2})
        listed = [item["Key"] for page in pages for item in page["Contents"]]
        self.assertEqual(listed, sorted(names, key=str.encode))

        folded = s3.list_objects_v2(Bucket="b", Prefix="a/", Delimiter="/")
        self.assertEqual([item["Prefix"] for item in folded["CommonPrefixes"]], ["a/b/"])
        self.assertEqual([item["Key"] for item in folded["Contents"]], [names[0]])
        older = s3.list_objects(Bucket="b", Marker="a/b/2", MaxKeys=1)
        self.assertEqual([item["Key"] for item in older["Contents"]], [names[0]])

        s3.delete_object(Bucket="b", Key="z")
        with self.assertRaises(ClientError) as caught:
            s3.head_object(Bucket="b", Key="z")
        self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 404)

    def test_trailing_checksums_are_unwrapped_and_verified(self):
        s3 = self.start("--remember")
        for algorithm in ("CRC32", "CRC32C"):
            # A stream is sent aws-chunked, with its checksum in the trailer.
            s3.put_object(Bucket="b", Key=algorithm, Body=io.BytesIO(b"x" * 300_000), ChecksumAlgorithm=algorithm)
        stats = self.stats()
        self.assertEqual(stats["checked"], {"crc32": 1, "crc32c": 1})
        self.assertEqual(stats["remembered"], {"objects": 2, "bytes": 600_000, "markers": 0})

    def test_a_wrong_checksum_is_a_bad_digest(self):
        s3 = self.start()
        with self.assertRaises(ClientError) as caught:
            s3.put_object(Bucket="b", Key="k", Body=b"123456789", ChecksumCRC64NVME="AAAAAAAAAAA=")
        self.assertEqual(caught.exception.response["Error"]["Code"], "BadDigest")

    def test_multipart(self):
        s3 = self.start("--remember", "--etag", "md5")
        body = os.urandom(20 << 20)
        s3.upload_fileobj(io.BytesIO(body), "b", "big", Config=TransferConfig(multipart_threshold=8 << 20))
        self.assertEqual(s3.head_object(Bucket="b", Key="big")["ContentLength"], len(body))
        self.assertEqual(self.stats()["requests"]["UploadPart"], 3)

        upload = s3.create_multipart_upload(Bucket="b", Key="left")["UploadId"]
        s3.upload_part(Bucket="b", Key="left", UploadId=upload, PartNumber=2, Body=b"x")
        parts = s3.list_parts(Bucket="b", Key="left", UploadId=upload)["Parts"]
        self.assertEqual([(part["PartNumber"], part["Size"]) for part in parts], [(2, 1)])
        open_uploads = s3.list_multipart_uploads(Bucket="b")["Uploads"]
        self.assertEqual([item["Key"] for item in open_uploads], ["left"])
        s3.abort_multipart_upload(Bucket="b", Key="left", UploadId=upload)
        self.assertNotIn("Uploads", s3.list_multipart_uploads(Bucket="b"))

    def test_tls_and_the_statistics_at_the_end(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([ROOT / "bench/make-cert.sh", folder], check=True)
            stats = Path(folder) / "stats.json"
            s3 = self.start(
                "--tls", f"{folder}/cert.pem", f"{folder}/key.pem", "--stats-file", str(stats),
                scheme="https", ca=f"{folder}/ca.pem",
            )  # fmt: skip
            s3.put_object(Bucket="b", Key="k", Body=b"abc")
            self.stop()
            written = json.loads(stats.read_text())
        self.assertEqual(written["requests"], {"PutObject": 1})
        self.assertEqual(written["object_bytes"], 3)

    def test_a_retrying_client_gets_through_faults(self):
        s3 = self.start("--remember", "--fault", "503:0.2:5", "--fault", "reset-after-apply:0.2:6", attempts=12)
        for index in range(12):
            s3.put_object(Bucket="b", Key=str(index), Body=b"x")
        stats = self.stats()
        self.assertEqual(stats["remembered"]["objects"], 12)
        self.assertGreater(stats["faults"]["503"], 0)
        self.assertGreater(stats["faults"]["reset-after-apply"], 0)


if __name__ == "__main__":
    unittest.main()
