"""moto's server, where every key but the kit's own may do only what the IAM policies of its user allow.

moto looks up keys, signatures and policies, and asks the policies for one action by a name of its own tables: without
conditions, without resources but those of S3, and by names that IAM does not have (`sqs:SendMessageBatch`). So the
question is put here: which IAM actions on which resources a request needs, as the Service Authorization Reference says
(read 2026-11). What is not in these tables is refused.

Each answer is a line of JSON in the file that S3BL_RIGHTS_LOG names: {"user", "action", "resource", "is_allowed"}.
"""

import json
import os
import re
import sys
import threading
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.ec2.models import ec2_backends
from moto.iam.access_control import IAMRequestBase
from moto.iam.models import iam_backends
from moto.server import main
from werkzeug.exceptions import HTTPException

# The key of the tests themselves: the account's owner, whom no policy binds.
OWNER_KEY = "testkit-access"
LOG = os.environ["S3BL_RIGHTS_LOG"]
LOG_LOCK = threading.Lock()


class Need(NamedTuple):
    """An action on a resource, and what conditions may ask of the request."""

    action: str
    resource: str
    context: dict = {}


def needs_of(request):
    """Returns all that a request needs; every one of them has to be allowed."""
    service, operation = request._action.split(":", 1)
    prefix = f"arn:aws:{service}:{request._region}:{request.account_id}:"
    body = request._body
    body = body.decode() if isinstance(body, bytes) else str(body or "")
    # A form has been read before, and then there is no body any more.
    form = {key: value[0] if isinstance(value, list) else value for key, value in request._data.items()}
    if service == "s3":
        headers = {name.lower(): value for name, value in request._headers.items()}
        return needs_of_s3(request._method, urlsplit(request._path), headers)
    if service == "sqs":
        return needs_of_sqs(operation, json.loads(body or "{}"), prefix)
    if service == "sns":
        return needs_of_sns(operation, form, prefix)
    if service == "ec2":
        return needs_of_ec2(operation, form, prefix, request)
    if (service, operation) == ("ssm", "GetParameter"):
        return [Need("ssm:GetParameter", f"{prefix}parameter/{json.loads(body)['Name'].lstrip('/')}")]
    return [Need(request._action, "unknown")]


# What a header of a PUT needs beside s3:PutObject.
HEADER_RIGHTS = {
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
    "x-amz-object-lock-mode": "s3:PutObjectRetention",
    "x-amz-tagging": "s3:PutObjectTagging",
}


def needs_of_s3(method, url, headers):
    query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
    bucket, _, key = unquote(url.path).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
    is_plain = not query.keys() & {"acl", "location", "policy", "retention", "tagging", "versioning"}
    match method:
        case "GET" if not key and "uploads" in query:
            return [Need("s3:ListBucketMultipartUploads", arn)]
        case "GET" | "HEAD" if not key and is_plain:
            return [Need("s3:ListBucket", arn, {"s3:prefix": query["prefix"]} if "prefix" in query else {})]
        case "GET" | "HEAD" if is_plain and "uploadId" not in query:
            return [Need("s3:GetObject", arn)]
        case "DELETE" if "uploadId" in query:
            return [Need("s3:AbortMultipartUpload", arn)]
        case "PUT" | "POST" if key and is_plain:
            needs = [Need("s3:PutObject", arn)]
            if source := headers.get("x-amz-copy-source"):
                needs.append(Need("s3:GetObject", "arn:aws:s3:::" + unquote(source).lstrip("/")))
            return needs + [Need(right, arn) for header, right in HEADER_RIGHTS.items() if header in headers]
    return [Need(f"s3:{method}?{url.query}", arn)]


def needs_of_sqs(operation, body, prefix):
    action = "sqs:" + operation.removesuffix("Batch")
    if operation == "ListQueues":
        return [Need(action, "*")]
    queue = prefix + (body.get("QueueName") or body.get("QueueUrl", "").rsplit("/", 1)[-1])
    is_tagged = operation == "CreateQueue" and body.get("tags")
    return [Need(action, queue)] + ([Need("sqs:TagQueue", queue)] if is_tagged else [])


def needs_of_sns(operation, form, prefix):
    action = f"sns:{operation}"
    if operation == "ListTopics":
        return [Need(action, "*")]
    if operation == "CreateTopic":
        topic = prefix + form["Name"]
        is_tagged = any(key.startswith("Tags.") for key in form)
        return [Need(action, topic)] + ([Need("sns:TagResource", topic)] if is_tagged else [])
    named = (form.get(key) for key in ("TopicArn", "ResourceArn", "SubscriptionArn"))
    return [Need(action, next(filter(None, named), "unknown"))]


def needs_of_ec2(operation, form, prefix, request):
    action = f"ec2:{operation}"
    if operation.startswith("Describe"):
        return [Need(action, "*")]
    if operation == "RunInstances":
        return needs_of_launch(form, prefix, request)
    if operation in ("TerminateInstances", "StartInstances", "StopInstances"):
        tags = ec2_backends[request.account_id][request._region].tags
        ids = [value for key, value in form.items() if key.startswith("InstanceId.")]
        return [Need(action, f"{prefix}instance/{id}", tag_context("ec2:ResourceTag", tags.get(id, {}))) for id in ids]
    return [Need(action, "unknown")]


def tag_context(name, tags):
    return {f"{name}/{key}": value for key, value in tags.items()}


def needs_of_launch(form, prefix, request):
    """Of the instance, of what is made with it, of what it is made from, of its tags, and of its role."""
    context = {"ec2:MetadataHttpTokens": form.get("MetadataOptions.HttpTokens", "optional")}
    needs = []
    profile = form.get("IamInstanceProfile.Name") or form.get("IamInstanceProfile.Arn", "").rsplit("/")[-1]
    if profile:
        found = iam_backends[request.account_id]["aws"].get_instance_profile(profile)
        context["ec2:InstanceProfile"] = found.arn
        passed = {"iam:PassedToService": "ec2.amazonaws.com"}
        needs = [Need("iam:PassRole", role.arn, passed) for role in found.roles]
    tags = tags_of_launch(form)
    made = {"instance": context, "volume": {}, "network-interface": {}}
    for kind, context in made.items():
        requested = tag_context("aws:RequestTag", tags.get(kind, {}))
        needs.append(Need("ec2:RunInstances", f"{prefix}{kind}/*", {**context, **requested}))
        if requested:
            requested["ec2:CreateAction"] = "RunInstances"
            needs.append(Need("ec2:CreateTags", f"{prefix}{kind}/*", requested))
    image = f"arn:aws:ec2:{request._region}::image/{form.get('ImageId')}"
    needs.append(Need("ec2:RunInstances", image))
    from_what = {
        "KeyName": "key-pair",
        "LaunchTemplate.LaunchTemplateId": "launch-template",
        "SecurityGroupId.": "security-group",
        "SubnetId": "subnet",
    }
    for start, kind in from_what.items():
        named = [value for key, value in form.items() if key.startswith(start)]
        needs += [Need("ec2:RunInstances", f"{prefix}{kind}/{value}") for value in named]
    return needs


def tags_of_launch(form):
    """Returns the tags by the kind of what they are for."""
    tags = {}
    for key, kind in form.items():
        if specification := re.fullmatch(r"(TagSpecification\.\d+\.)ResourceType", key):
            names = (it for it in form if re.fullmatch(re.escape(specification[1]) + r"Tag\.\d+\.Key", it))
            tags[kind] = {form[name]: form[name.removesuffix("Key") + "Value"] for name in names}
    return tags


def matches(pattern, text):
    """Whether a pattern of IAM, with `*` and `?`, is the whole text."""
    pattern = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, text, re.DOTALL) is not None


def listed(value):
    return value if isinstance(value, list) else [value]


COMPARE = {"StringEquals": str.__eq__, "StringLike": matches, "ArnEquals": matches, "ArnLike": matches}


def holds(condition, context):
    """Whether every operator of a condition is true of a request. One that is not known here is an error."""
    for operator, keys in condition.items():
        compare = COMPARE[operator.removesuffix("IfExists")]
        for key, wanted in keys.items():
            if key not in context and not operator.endswith("IfExists"):
                return False
            if key in context and not any(compare(pattern, context[key]) for pattern in listed(wanted)):
                return False
    return True


def is_allowed(need, documents):
    """An explicit denial wins over every permission, and without any of both nothing is allowed."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in listed(document["Statement"])
        if any(matches(action.lower(), need.action.lower()) for action in listed(statement["Action"]))
        and any(matches(resource, need.resource) for resource in listed(statement["Resource"]))
        and holds(statement.get("Condition", {}), need.context)
    }
    return effects == {"Allow"}


class Denied(HTTPException):
    """A refusal in the words of IAM, and in the protocol of the service."""

    code = 403

    def __init__(self, user, need, is_json):
        why = f"because no identity-based policy allows the {need.action} action"
        message = f"User: {user} is not authorized to perform: {need.action} on resource: {need.resource} {why}"
        said = {"__type": "com.amazon.coral.service#AccessDeniedException", "message": message}
        error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{message}</Message></Error>"
        text = json.dumps(said) if is_json else f"<ErrorResponse>{error}</ErrorResponse>"
        super().__init__(description=text)


def check(request, _resource):
    """Takes the place of moto's check: notes what is needed, and refuses a request of which anything is not allowed."""
    policies = request._access_key.collect_policies()
    # Those of a role come as text, those of a user with their names.
    texts = (policy if isinstance(policy, str) else policy["policy_document"] for policy in policies)
    documents = [json.loads(text) for text in texts]
    user = request._access_key.arn
    answers = [(need, is_allowed(need, documents)) for need in needs_of(request)]
    with LOG_LOCK, open(LOG, "a", encoding="utf-8") as log:
        for need, allowed in answers:
            line = {"user": user.rsplit("/")[-1], "action": need.action, "resource": need.resource}
            log.write(json.dumps({**line, "is_allowed": allowed}) + "\n")
    for need, allowed in answers:
        if not allowed and need.action.startswith("s3:"):
            request._raise_access_denied()
        elif not allowed:
            raise Denied(user, need, request._service in ("sqs", "ssm"))


def authenticate(mixin, iam_request, resource="*", ask=ActionAuthenticatorMixin._authenticate_and_authorize_action):
    """Lets the owner do everything; of all others moto looks up key, signature and policies."""
    if f"Credential={OWNER_KEY}/" not in mixin.headers.get("Authorization", ""):
        ask(mixin, iam_request, resource)


IAMRequestBase.check_action_permitted = check
ActionAuthenticatorMixin._authenticate_and_authorize_action = authenticate
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
main(sys.argv[1:])
