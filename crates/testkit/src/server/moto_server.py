"""moto's server, with one promise of EC2 that moto does not keep: a client token of RunInstances.

The same request under the same token is answered with what the first one launched, and another request under it is refused
(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html, read 2026-11).
"""

import sys
import threading

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.instances import InstanceResponse
from moto.server import main

LOCK = threading.Lock()
# By account, region and token: what was asked, and what came of it.
LAUNCHED = {}


class IdempotentParameterMismatch(EC2ClientError):
    def __init__(self, token):
        super().__init__("IdempotentParameterMismatch", f"The client token '{token}' was used with other parameters.")


def run_instances(response, launch=InstanceResponse.run_instances):
    token = response._get_param("ClientToken")
    if not token or response._get_param("DryRun"):
        return launch(response)
    key = (response.current_account, response.region, token)
    asked = {name: value for name, value in response.data.items() if name not in ("Version", "Action")}
    with LOCK:
        if key not in LAUNCHED:
            LAUNCHED[key] = (asked, launch(response))
        before, result = LAUNCHED[key]
        if asked != before:
            raise IdempotentParameterMismatch(token)
        return result


InstanceResponse.run_instances = run_instances
main(sys.argv[1:])
