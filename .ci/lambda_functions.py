"""The functions of template.yaml as Lambda runs them: with the environment that the template sets, over tables that the
template describes, in a database that speaks DynamoDB's API, each under Amazon's runtime interface emulator.

Needs the virtual environment of aws-sam-cli, which reads the template and holds the emulator.
"""

import base64
import json
import os
import platform
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import samcli
from samcli.yamlhelper import parse_yaml_file

from local_server import ROOT, free_port, own_environment

MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
EMULATOR = Path(samcli.__file__).parent / f"local/rapid/aws-lambda-rie-{MACHINE}"
TEMPLATE = parse_yaml_file(str(ROOT / "template.yaml"))
RESOURCES = TEMPLATE["Resources"]
FUNCTIONS = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::Serverless::Function"]
TABLES = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::DynamoDB::Table"]
# The password is "correct horse", as events/auth.json has it.
USERS = [
    {
        "user": "admin",
        "password_hash": "$2b$12$mNYJHnlSy0cps0VIGxUj.emeadTj1Tm9F0zbX9dxyBtVehniLNj4e",
        "role": "admin",
    }
]
REGION = "eu-central-1"


def with_defaults(value):
    """A part of the template in which a reference to a parameter is its default."""
    if isinstance(value, list):
        return [with_defaults(each) for each in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Ref"] and value["Ref"] in TEMPLATE["Parameters"]:
        return TEMPLATE["Parameters"][value["Ref"]]["Default"]
    return {key: with_defaults(each) for key, each in value.items()}


# What CreateTable takes of a table's properties; the rest is no matter of a request to a local database.
CREATE_TABLE = ["BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "StreamSpecification"]


class Database:
    """A database at a URL, and the names of the template's tables in it: names of their own, since the local server counts
    what comes to the tables that it made.
    """

    def __init__(self, url):
        self.url = url
        self.names = {table: f"{table.lower()}-{os.urandom(4).hex()}" for table in TABLES}

    def create_tables(self):
        for table, name in self.names.items():
            properties = RESOURCES[table]["Properties"]
            request = {key: with_defaults(properties[key]) for key in CREATE_TABLE if key in properties}
            if "StreamSpecification" in request:
                # CloudFormation leaves it out, the API does not.
                request["StreamSpecification"] = request["StreamSpecification"] | {"StreamEnabled": True}
            self.call("DynamoDB_20120810.CreateTable", {"TableName": name} | request)

    def call(self, operation, request):
        """One call of the API, as JSON goes over the wire."""
        headers = {
            "X-Amz-Target": operation,
            "Content-Type": "application/x-amz-json-1.0",
            # Not checked, but asked for.
            "Authorization": f"AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=0",
            "X-Amz-Date": "20260101T000000Z",
        }
        request = urllib.request.Request(self.url, json.dumps(request).encode(), headers)
        try:
            with urllib.request.urlopen(request) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{operation}: {error.code} {error.read().decode()}") from error


def resolve(value, database):
    """A variable's value as CloudFormation would make it."""
    if not isinstance(value, dict):
        return str(value)
    (reference,) = value.values()
    if isinstance(reference, list):
        # Fn::If: no parameter that is optional is given.
        return resolve(reference[2], database)
    if reference in database.names:
        return database.names[reference]
    if RESOURCES.get(reference, {}).get("Type") == "AWS::S3::Bucket":
        return reference.lower()
    if reference == "Users":
        return json.dumps(USERS)
    if reference == "LogsApp":
        # Without it there is no function that takes log events.
        return "demo"
    return str(TEMPLATE["Parameters"][reference]["Default"])


def environment(function, database, objects=""):
    """What a function finds in its environment; `objects` is the address of a server in place of S3."""
    resource = RESOURCES[function]["Properties"]
    settings = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"] | resource.get("Environment", {}).get(
        "Variables", {}
    )
    return {name: resolve(value, database) for name, value in settings.items()} | {
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(resource.get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])),
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "INFO",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_ENDPOINT_URL_DYNAMODB": database.url,
        "AWS_ENDPOINT_URL_S3": objects,
    }


def routes():
    """The routes of the HTTP API: each key, such as `GET /apps` or `$default`, with its function."""
    for path, methods in RESOURCES["Api"]["Properties"]["DefinitionBody"]["paths"].items():
        for method, operation in methods.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            (function,) = [name for name in FUNCTIONS if f"/${{{name}.Arn}}/" in uri]
            method = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            yield path if path == "$default" else f"{method} {path}", function


ROUTES = dict(routes())


def function_of(event):
    """The function that the HTTP API gives an event to, by its route."""
    return ROUTES[event["routeKey"]]


class Emulated:
    """A function under the emulator; what it logs is in `log`."""

    def __init__(self, function, bootstrap, database, objects=""):
        self.function = function
        self.log = tempfile.TemporaryFile()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        variables = own_environment() | environment(function, database, objects)
        command = [
            *(EMULATOR, "--log-level", "error"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
            bootstrap,
        ]
        # A group of its own, since the function is a child of the emulator.
        self.process = subprocess.Popen(
            command, env=variables, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        for _ in range(200):
            if self.process.poll() is not None:
                raise RuntimeError(f"the emulator of {function} ended:\n{self.logged()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise RuntimeError(f"the emulator of {function} does not listen")

    def invoke(self, event):
        """The function's reply."""
        request = urllib.request.Request(self.url, json.dumps(event).encode())
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def body_of(reply):
    """The body of a reply to the HTTP API: JSON read, pictures as bytes, text as it is."""
    body = reply.get("body") or ""
    if reply["isBase64Encoded"]:
        return base64.b64decode(body)
    kind = next((value for name, value in reply["headers"].items() if name.lower() == "content-type"), "")
    return json.loads(body) if body and kind.split(";")[0].endswith("json") else body
