"""Drives the embedded S3 server with a client that is not ours: boto3.

Usage: drive.py SCENARIO, with AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the
environment. The bucket `drive` exists.
A scenario that fails raises; embedded_server.rs runs each one as a test of its own.
"""

import base64
import concurrent.futures
import datetime
import hashlib
import http.client
import os
import random
import sys
import tempfile
import urllib.parse
import zlib

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
BUCKET = "drive"
MIB = 1024 * 1024

ODD_KEYS = [
    "a b",
    " leading and trailing ",
    "it's",
    'say "hello"',
    "emoji/🎆👩‍👩‍👧‍👦",
    "line\nbreak",
    "tab\tand\rreturn",
    "a//b",
    "/leading slash",
    "directory/",
    "directory//",
    "a+b",
    "a%2Fb",
    "a%b",
    "q?x=1&y=2#z",
    "é composed and e\u0301 decomposed",
    "back\\slash",
    "<xml>&amp;</xml>",
    "~*!'();:@,$=[]{}|^`",
    "../up",
    "./here/./there",
    ".",
    "\x01 control \x7f",
    "k" * 1024,
    "ü" * 512,
]


def client(access_key=None, secret_key=None, **config):
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        aws_access_key_id=access_key or os.environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret_key or os.environ["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, **config),
    )


def plain_client():
    """Without the checksum that boto3 adds by itself."""
    return client(
        request_checksum_calculation="when_required", response_checksum_validation="when_required"
    )


def refused(code, call, *arguments, **parameters):
    """Asserts that a call is answered with an error code."""
    try:
        call(*arguments, **parameters)
    except botocore.exceptions.ClientError as error:
        actual = error.response["Error"]["Code"]
        assert actual == code, f"{actual} instead of {code}: {error}"
        return error.response
    raise AssertionError(f"not refused with {code}")


def absent(s3, key):
    refused("404", s3.head_object, Bucket=BUCKET, Key=key)


def body(s3, key, **parameters):
    return s3.get_object(Bucket=BUCKET, Key=key, **parameters)["Body"].read()


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


def b64(raw):
    return base64.b64encode(raw).decode()


def md5(data):
    return hashlib.md5(data).hexdigest()


def crc32(data):
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def crc64nvme(data):
    """Bit by bit, from the definition: reflected polynomial 0x9a6c9329ac4bc9b5, all ones in and out."""
    table = []
    for index in range(256):
        for _ in range(8):
            index = (index >> 1) ^ (0x9A6C9329AC4BC9B5 if index & 1 else 0)
        table.append(index)
    value = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return b64((value ^ 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big"))


def bytes_come_back_whole_and_in_ranges():
    s3 = client()
    for size in [0, 1, 65_536, 65_537, MIB + 3, 3 * MIB]:
        data = noise(size, size)
        answer = s3.put_object(Bucket=BUCKET, Key="bytes", Body=data)
        assert answer["ETag"] == f'"{md5(data)}"'
        assert body(s3, "bytes") == data
        head = s3.head_object(Bucket=BUCKET, Key="bytes")
        assert (head["ContentLength"], head["ETag"]) == (size, answer["ETag"])
        assert head["ContentType"] == "binary/octet-stream"
    answer = s3.get_object(Bucket=BUCKET, Key="bytes", Range="bytes=1048570-1048580")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["ContentRange"] == f"bytes 1048570-1048580/{3 * MIB}"
    assert answer["Body"].read() == data[1_048_570:1_048_581]
    assert body(s3, "bytes", Range="bytes=-5") == data[-5:]
    assert body(s3, "bytes", Range="bytes=3145720-") == data[3_145_720:]
    refused("InvalidRange", s3.get_object, Bucket=BUCKET, Key="bytes", Range=f"bytes={3 * MIB}-")
    refused("NoSuchKey", s3.get_object, Bucket=BUCKET, Key="no such key")
    refused("NoSuchBucket", s3.get_object, Bucket="no-such-bucket", Key="bytes")
    refused("NoSuchBucket", s3.put_object, Bucket="no-such-bucket", Key="bytes", Body=data)


def odd_keys_are_kept_byte_for_byte():
    s3 = client()
    for key in ODD_KEYS:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for key in ODD_KEYS:
        assert body(s3, key) == key.encode(), repr(key)
    listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [entry["Key"] for entry in listed] == sorted(ODD_KEYS, key=str.encode)
    assert all(entry["ETag"] == f'"{md5(entry["Key"].encode())}"' for entry in listed)
    assert all(entry["Size"] == len(entry["Key"].encode()) for entry in listed)
    refused("KeyTooLongError", s3.put_object, Bucket=BUCKET, Key="k" * 1025, Body=b"")
    for key in ODD_KEYS:
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def listings_page_fold_and_go_on():
    s3 = client()
    keys = [f"{first}/{second}/{third}" for first in "abc" for second in "xyz é" for third in range(4)]
    keys += ["a", "a.b", "top", "zz\U0001f600", "zz\ufffd", "+ +"]
    ordered = sorted(keys, key=str.encode)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x"), keys))

    def pages(operation, **parameters):
        found, prefixes = [], []
        for page in s3.get_paginator(operation).paginate(
            Bucket=BUCKET, PaginationConfig={"PageSize": 7}, **parameters
        ):
            assert len(page.get("Contents", [])) + len(page.get("CommonPrefixes", [])) <= 7
            found += [entry["Key"] for entry in page.get("Contents", [])]
            prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        return found, prefixes

    for operation in ["list_objects", "list_objects_v2"]:
        assert pages(operation) == (ordered, [])
        assert pages(operation, Prefix="b/") == ([key for key in ordered if key.startswith("b/")], [])
        top = [key for key in ordered if "/" not in key]
        assert pages(operation, Delimiter="/") == (top, ["a/", "b/", "c/"])
        found, prefixes = pages(operation, Delimiter="/", Prefix="a/")
        assert (found, prefixes) == ([], ["a/ /", "a/x/", "a/y/", "a/z/", "a/é/"])
    after = s3.list_objects_v2(Bucket=BUCKET, StartAfter="b/y/1", MaxKeys=2)
    assert [entry["Key"] for entry in after["Contents"]] == ["b/y/2", "b/y/3"]
    assert after["IsTruncated"] and after["KeyCount"] == 2
    assert s3.list_objects_v2(Bucket=BUCKET, MaxKeys=0)["KeyCount"] == 0
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="no-such-bucket")
    refused("InvalidArgument", s3.list_objects_v2, Bucket=BUCKET, ContinuationToken="?")


def attributes_are_kept_also_on_a_directory_key():
    s3 = client()
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    attributes = {
        "CacheControl": "no-store",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "application/x-directory; charset=utf-8",
        "Metadata": {"mode": "0040755", "attr": '{"st_mode": 16877}', "mtime": "1700000000.123456789"},
    }
    for key in ["directory/", "file"]:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"", Expires=expires, **attributes)
        for answer in [
            s3.head_object(Bucket=BUCKET, Key=key),
            s3.get_object(Bucket=BUCKET, Key=key),
        ]:
            assert {name: answer[name] for name in attributes} == attributes
            assert answer["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"
            age = datetime.datetime.now(datetime.timezone.utc) - answer["LastModified"]
            assert abs(age.total_seconds()) < 60
    answer = s3.get_object(Bucket=BUCKET, Key="file", ResponseContentType="text/plain")
    assert answer["ContentType"] == "text/plain"
    most = {"m" * 48: "v" * 2000}
    s3.put_object(Bucket=BUCKET, Key="most", Body=b"", Metadata=most)
    assert s3.head_object(Bucket=BUCKET, Key="most")["Metadata"] == most
    more = {"m" * 48: "v" * 2001}
    refused("MetadataTooLarge", s3.put_object, Bucket=BUCKET, Key="more", Body=b"", Metadata=more)
    absent(s3, "more")
    refused("NotImplemented", s3.put_object, Bucket=BUCKET, Key="more", Body=b"", Tagging="a=b")


def wrong_checksums_are_refused_and_right_ones_returned():
    s3 = plain_client()
    data = noise(100_000)
    right = {
        "ChecksumCRC32": crc32(data),
        "ChecksumCRC64NVME": crc64nvme(data),
        "ChecksumSHA1": b64(hashlib.sha1(data).digest()),
        "ChecksumSHA256": b64(hashlib.sha256(data).digest()),
    }
    for name, value in right.items():
        raw = bytearray(base64.b64decode(value))
        raw[0] ^= 1
        put = {"Bucket": BUCKET, "Key": name, "Body": data}
        refused("BadDigest", s3.put_object, **put, **{name: b64(raw)})
        absent(s3, name)
        refused("InvalidRequest", s3.put_object, **put, **{name: "not base64"})
        assert s3.put_object(**put, **{name: value})[name] == value
        head = s3.head_object(Bucket=BUCKET, Key=name, ChecksumMode="ENABLED")
        assert (head[name], head["ChecksumType"]) == (value, "FULL_OBJECT")
        assert name not in s3.head_object(Bucket=BUCKET, Key=name)
    s3.put_object(Bucket=BUCKET, Key="none", Body=data)
    head = s3.head_object(Bucket=BUCKET, Key="none", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == right["ChecksumCRC64NVME"]
    wrong = b64(hashlib.md5(b"other").digest())
    refused("BadDigest", s3.put_object, Bucket=BUCKET, Key="md5", Body=data, ContentMD5=wrong)
    refused("InvalidDigest", s3.put_object, Bucket=BUCKET, Key="md5", Body=data, ContentMD5="short")
    absent(s3, "md5")
    s3.put_object(
        Bucket=BUCKET, Key="md5", Body=data, ContentMD5=b64(hashlib.md5(data).digest())
    )
    assert body(s3, "md5") == data
    s3.put_object(Bucket=BUCKET, Key="none", Body=b"kept")
    refused(
        "BadDigest", s3.put_object, Bucket=BUCKET, Key="none", Body=data, ChecksumCRC32="AAAAAA=="
    )
    assert body(s3, "none") == b"kept"


def raw_put(key, payload_hash, payload, headers):
    """Signs and sends a PUT whose body boto3 would not send in this way."""

    class Signer(botocore.auth.S3SigV4Auth):
        def payload(self, request):
            return payload_hash

    url = f"{ENDPOINT}/{BUCKET}/{urllib.parse.quote(key)}"
    request = botocore.awsrequest.AWSRequest("PUT", url, headers=headers)
    credentials = botocore.credentials.Credentials(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    Signer(credentials, "s3", "us-east-1").add_auth(request)
    parsed = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parsed.netloc, timeout=30)
    connection.request("PUT", parsed.path, body=payload, headers=dict(request.headers.items()))
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def trailers_and_payload_hashes_are_verified():
    s3 = client()
    data = noise(150_000)

    def chunked(trailer):
        chunks = [data[at : at + 65_536] for at in range(0, len(data), 65_536)] + [b""]
        framed = [b"%x\r\n" % len(chunk) + (chunk + b"\r\n" if chunk else b"") for chunk in chunks]
        return b"".join(framed) + f"x-amz-checksum-crc32:{trailer}\r\n\r\n".encode()

    headers = {
        "x-amz-decoded-content-length": str(len(data)),
        "x-amz-trailer": "x-amz-checksum-crc32",
        "content-encoding": "aws-chunked",
    }
    unsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    status, text = raw_put("trailer", unsigned, chunked("AAAAAA=="), headers)
    assert status == 400 and "BadDigest" in text, text
    absent(s3, "trailer")
    status, text = raw_put("trailer", unsigned, chunked(crc32(data)), headers)
    assert status == 200, text
    answer = s3.get_object(Bucket=BUCKET, Key="trailer", ChecksumMode="ENABLED")
    assert answer["Body"].read() == data and answer["ChecksumCRC32"] == crc32(data)
    assert "ContentEncoding" not in answer

    status, text = raw_put("hash", hashlib.sha256(b"other").hexdigest(), data, {})
    assert status == 400 and "XAmzContentSHA256Mismatch" in text, text
    absent(s3, "hash")
    status, text = raw_put("hash", "UNSIGNED-PAYLOAD", data, {})
    assert status == 200, text
    two = {"x-amz-checksum-crc32": crc32(data), "x-amz-checksum-sha1": "A" * 27 + "="}
    status, text = raw_put("hash", "UNSIGNED-PAYLOAD", data, two)
    assert status == 400 and "InvalidRequest" in text, text


def parts_of(s3, key, upload, chunks, **parameters):
    parts = []
    for number, chunk in enumerate(chunks, 1):
        answer = s3.upload_part(
            Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=chunk, **parameters
        )
        assert answer["ETag"] == f'"{md5(chunk)}"'
        kept = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **kept})
    return parts


def multipart_uploads_are_checked_and_joined():
    s3 = plain_client()
    chunks = [noise(5 * MIB, 1), noise(5 * MIB, 2), b"the end"]
    whole = b"".join(chunks)
    where = {"Bucket": BUCKET, "Key": "multi/part +"}
    upload = s3.create_multipart_upload(
        **where, ChecksumAlgorithm="CRC64NVME", Metadata={"mode": "0100644"}, ContentType="text/x"
    )["UploadId"]
    parts = parts_of(s3, where["Key"], upload, chunks)
    assert parts[2]["ChecksumCRC64NVME"] == crc64nvme(chunks[2])
    absent(s3, where["Key"])

    listed = s3.list_parts(**where, UploadId=upload, MaxParts=2)
    assert [part["Size"] for part in listed["Parts"]] == [5 * MIB, 5 * MIB]
    assert listed["IsTruncated"] and listed["NextPartNumberMarker"] == 2
    uploads = s3.list_multipart_uploads(Bucket=BUCKET, Prefix="multi/")["Uploads"]
    assert [(entry["Key"], entry["UploadId"]) for entry in uploads] == [(where["Key"], upload)]

    def complete(parts, **parameters):
        return {**where, "UploadId": upload, "MultipartUpload": {"Parts": parts}, **parameters}

    call = s3.complete_multipart_upload
    refused("InvalidPartOrder", call, **complete(parts[::-1]))
    refused("InvalidPart", call, **complete([{**parts[0], "ETag": parts[1]["ETag"]}]))
    refused("InvalidPart", call, **complete([{**parts[0], "PartNumber": 9}]))
    refused("InvalidPart", call, **complete([{**parts[0], "ChecksumCRC64NVME": "AAAAAAAAAAA="}]))
    refused("MalformedXML", call, **complete([]))
    refused("EntityTooSmall", call, **complete(parts_of(s3, where["Key"], upload, [b"a", b"b"])))
    parts = parts_of(s3, where["Key"], upload, chunks)
    full = {"ChecksumType": "FULL_OBJECT", "MpuObjectSize": len(whole)}
    refused("BadDigest", call, **complete(parts, **full, ChecksumCRC64NVME="AAAAAAAAAAA="))
    wrong_size = {**full, "MpuObjectSize": 1}
    refused("InvalidRequest", call, **complete(parts, **wrong_size))
    refused("InvalidRequest", call, **complete(parts, ChecksumType="COMPOSITE"))
    absent(s3, where["Key"])
    answer = call(**complete(parts, **full, ChecksumCRC64NVME=crc64nvme(whole)))

    tags = b"".join(hashlib.md5(chunk).digest() for chunk in chunks)
    assert answer["ETag"] == f'"{md5(tags)}-3"'
    assert (answer["ChecksumCRC64NVME"], answer["ChecksumType"]) == (crc64nvme(whole), "FULL_OBJECT")
    got = s3.get_object(**where)
    assert got["Body"].read() == whole and got["Metadata"] == {"mode": "0100644"}
    assert body(s3, where["Key"], Range="bytes=5242870-10485765") == whole[5_242_870:10_485_766]
    second = s3.get_object(**where, PartNumber=2)
    assert second["Body"].read() == chunks[1] and second["PartsCount"] == 3
    refused("NoSuchUpload", call, **complete(parts))
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def composite_checksums_and_aborts_follow_the_rules():
    s3 = plain_client()
    chunks = [noise(5 * MIB, 3), b"tail"]
    where = {"Bucket": BUCKET, "Key": "composite"}
    created = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")
    assert created["ChecksumType"] == "COMPOSITE"
    upload = {**where, "UploadId": created["UploadId"]}
    parts = parts_of(s3, "composite", created["UploadId"], chunks, ChecksumAlgorithm="SHA256")
    bare = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
    refused(
        "InvalidRequest", s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": bare}
    )
    raw = b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)
    answer = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert answer["ChecksumSHA256"] == b64(hashlib.sha256(raw).digest()) + "-2"
    head = s3.head_object(**where, ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == answer["ChecksumSHA256"]

    refused(
        "InvalidRequest",
        s3.create_multipart_upload,
        **where,
        ChecksumAlgorithm="SHA256",
        ChecksumType="FULL_OBJECT",
    )
    named = s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC32C")["UploadId"]
    part = {**where, "UploadId": named, "PartNumber": 1, "Body": b"part"}
    refused("InvalidRequest", s3.upload_part, **part, ChecksumCRC32=crc32(b"part"))
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    part = {**upload, "PartNumber": 1, "Body": b"part"}
    refused("BadDigest", s3.upload_part, **part, ChecksumCRC32=crc32(b"other"))
    assert s3.upload_part(**part, ChecksumCRC32=crc32(b"part"))["ChecksumCRC32"] == crc32(b"part")
    listed = s3.list_parts(**upload)["Parts"][0]
    assert listed["ChecksumCRC64NVME"] == crc64nvme(b"part")
    refused("BadDigest", s3.upload_part, **part, ChecksumCRC64NVME="AAAAAAAAAAA=")
    refused("BadDigest", s3.upload_part, **part, ContentMD5=b64(hashlib.md5(b"other").digest()))
    refused("InvalidArgument", s3.upload_part, **{**part, "PartNumber": 10_001})
    s3.upload_part(**part)
    s3.abort_multipart_upload(**upload)
    refused("NoSuchUpload", s3.upload_part, **part)
    refused("NoSuchUpload", s3.list_parts, **upload)
    refused("NoSuchUpload", s3.abort_multipart_upload, **upload)


def conditions_guard_writes_and_reads():
    s3 = client()
    put = {"Bucket": BUCKET, "Key": "guarded"}
    refused("NoSuchKey", s3.put_object, **put, Body=b"none", IfMatch='"abc"')
    first = s3.put_object(**put, Body=b"first", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", s3.put_object, **put, Body=b"second", IfNoneMatch="*")
    refused("PreconditionFailed", s3.put_object, **put, Body=b"second", IfMatch='"abc"')
    assert body(s3, "guarded") == b"first"
    second = s3.put_object(**put, Body=b"second", IfMatch=first)["ETag"]
    assert body(s3, "guarded", IfMatch=second) == b"second"
    refused("PreconditionFailed", s3.get_object, **put, IfMatch=first)
    refused("304", s3.get_object, **put, IfNoneMatch=second)
    future = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    refused("304", s3.head_object, **put, IfModifiedSince=future)
    past = future - datetime.timedelta(days=1)
    refused("412", s3.head_object, **put, IfUnmodifiedSince=past)

    upload = {**put, "UploadId": s3.create_multipart_upload(**put)["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"third")
    parts = {"Parts": [{**part, "PartNumber": 1}]}
    for parts_field in ["ResponseMetadata", "ServerSideEncryption", "ChecksumType"]:
        parts["Parts"][0].pop(parts_field, None)
    complete = {**upload, "MultipartUpload": parts}
    refused("PreconditionFailed", s3.complete_multipart_upload, **complete, IfNoneMatch="*")
    refused("PreconditionFailed", s3.complete_multipart_upload, **complete, IfMatch=first)
    s3.complete_multipart_upload(**complete, IfMatch=second)
    assert body(s3, "guarded") == b"third"


def copies_keep_or_replace_what_is_said():
    s3 = plain_client()
    data = noise(6 * MIB, 4)
    source = {"Bucket": BUCKET, "Key": "source é+ %2F"}
    s3.put_object(**source, Body=data, Metadata={"mode": "1"}, ContentType="text/a")
    copied = s3.copy_object(Bucket=BUCKET, Key="copy/", CopySource=source)["CopyObjectResult"]
    assert copied["ETag"] == f'"{md5(data)}"'
    assert copied["ChecksumCRC64NVME"] == crc64nvme(data)
    got = s3.get_object(Bucket=BUCKET, Key="copy/")
    assert got["Body"].read() == data
    assert (got["Metadata"], got["ContentType"]) == ({"mode": "1"}, "text/a")
    s3.copy_object(
        **source, CopySource=source, MetadataDirective="REPLACE", Metadata={"mode": "2"}
    )
    head = s3.head_object(**source)
    assert (head["Metadata"], head["ContentType"]) == ({"mode": "2"}, "binary/octet-stream")
    assert body(s3, source["Key"]) == data
    refused(
        "NoSuchKey", s3.copy_object, Bucket=BUCKET, Key="x", CopySource={**source, "Key": "none"}
    )

    target = {"Bucket": BUCKET, "Key": "joined"}
    upload = {**target, "UploadId": s3.create_multipart_upload(**target)["UploadId"]}
    ranges = [(0, 5 * MIB - 1), (5 * MIB, 6 * MIB - 1)]
    parts = []
    for number, (first, last) in enumerate(ranges, 1):
        answer = s3.upload_part_copy(
            **upload, PartNumber=number, CopySource=source, CopySourceRange=f"bytes={first}-{last}"
        )
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert body(s3, "joined") == data


def buckets_and_batches_of_keys_come_and_go():
    s3 = client()
    s3.create_bucket(Bucket="another-bucket")
    refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket="another-bucket")
    assert [entry["Name"] for entry in s3.list_buckets()["Buckets"]] == ["another-bucket", BUCKET]
    s3.head_bucket(Bucket="another-bucket")
    assert s3.get_bucket_location(Bucket="another-bucket")["LocationConstraint"] is None
    refused("404", s3.head_bucket, Bucket="no-such-bucket")
    keys = ["a", "b/", "c d", "é\n"]
    for key in keys:
        s3.put_object(Bucket="another-bucket", Key=key, Body=b"x")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket="another-bucket")
    objects = [{"Key": key} for key in [*keys, "never there"]]
    answer = s3.delete_objects(Bucket="another-bucket", Delete={"Objects": objects})
    assert len(answer["Deleted"]) == 5 and "Errors" not in answer
    s3.delete_object(Bucket="another-bucket", Key="never there")
    s3.delete_bucket(Bucket="another-bucket")
    refused("404", s3.head_bucket, Bucket="another-bucket")


def a_refused_request_is_read_to_its_end():
    headers = {"Authorization": "nonsense", "Content-Length": str(8 * MIB)}
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(ENDPOINT).netloc, timeout=30)
    for _ in range(3):
        # The whole body is sent before the answer is read, on one and the same connection.
        connection.request("PUT", f"/{BUCKET}/refused", body=bytes(8 * MIB), headers=headers)
        connected = connection.sock
        answer = connection.getresponse()
        assert answer.status in (400, 403) and b"<Error>" in answer.read()
        assert connection.sock is connected, "the server has closed the connection"
    absent(client(), "refused")


def strangers_are_refused():
    refused("InvalidAccessKeyId", client(access_key="SOMEBODY").list_buckets)
    refused("SignatureDoesNotMatch", client(secret_key="guess").list_buckets)
    anonymous = client(signature_version=botocore.UNSIGNED)
    refused("AccessDenied", anonymous.list_objects_v2, Bucket=BUCKET)
    refused("AccessDenied", anonymous.put_object, Bucket=BUCKET, Key="x", Body=b"x")
    url = client().generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "signed é"})
    parsed = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parsed.netloc, timeout=30)
    connection.request("PUT", f"{parsed.path}?{parsed.query}", body=b"by url")
    assert connection.getresponse().status == 200
    assert body(client(), "signed é") == b"by url"


def an_object_is_never_seen_half_written():
    s3 = client(max_pool_connections=16)
    bodies = {md5(data): data for data in (noise(300_000 + 7 * seed, seed) for seed in range(12))}
    s3.put_object(Bucket=BUCKET, Key="contended", Body=next(iter(bodies.values())))

    def write(data):
        for _ in range(8):
            s3.put_object(Bucket=BUCKET, Key="contended", Body=data)

    def read():
        for _ in range(40):
            answer = s3.get_object(Bucket=BUCKET, Key="contended")
            data = answer["Body"].read()
            assert bodies[answer["ETag"].strip('"')] == data

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        running = [pool.submit(write, data) for data in bodies.values()]
        running += [pool.submit(read) for _ in range(4)]
        for job in running:
            job.result()
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["contended"]


def files_go_up_and_down_by_the_transfer_manager():
    s3 = client()
    data = noise(21 * MIB + 17, 5)
    with tempfile.TemporaryDirectory() as directory:
        there, back = os.path.join(directory, "there"), os.path.join(directory, "back")
        with open(there, "wb") as file:
            file.write(data)
        s3.upload_file(there, BUCKET, "big file")
        assert s3.head_object(Bucket=BUCKET, Key="big file")["ETag"].endswith('-3"')
        s3.download_file(BUCKET, "big file", back)
        with open(back, "rb") as file:
            assert file.read() == data


def leave_something_behind():
    s3 = plain_client()
    for key in ODD_KEYS:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode() * 3, Metadata={"n": str(len(key))})
    for number in range(30):
        s3.put_object(Bucket=BUCKET, Key="often", Body=b"%d" % number)
    s3.put_object(Bucket=BUCKET, Key="deleted", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="deleted")
    where = {"Bucket": BUCKET, "Key": "in parts"}
    upload = s3.create_multipart_upload(**where, Metadata={"mode": "7"})["UploadId"]
    parts_of(s3, "in parts", upload, [noise(5 * MIB, 6), noise(1000, 7)])


def find_it_again():
    s3 = plain_client()
    keys = sorted([*ODD_KEYS, "often"], key=str.encode)
    listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [entry["Key"] for entry in listed] == keys
    for key in ODD_KEYS:
        answer = s3.get_object(Bucket=BUCKET, Key=key)
        assert answer["Body"].read() == key.encode() * 3
        assert answer["Metadata"] == {"n": str(len(key))}
    assert body(s3, "often") == b"29"
    upload = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"][0]
    where = {"Bucket": BUCKET, "Key": upload["Key"], "UploadId": upload["UploadId"]}
    parts = [
        {"PartNumber": part["PartNumber"], "ETag": part["ETag"]}
        for part in s3.list_parts(**where)["Parts"]
    ]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    answer = s3.get_object(Bucket=BUCKET, Key=upload["Key"])
    assert answer["Body"].read() == noise(5 * MIB, 6) + noise(1000, 7)
    assert answer["Metadata"] == {"mode": "7"}
    for key in [*keys, upload["Key"]]:
        s3.delete_object(Bucket=BUCKET, Key=key)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
