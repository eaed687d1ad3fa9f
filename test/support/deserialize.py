"""Reads record values in Confluent's wire format with Confluent's own deserializers.

Standard input: one JSON object, {"registry": url, "type": "AVRO" | "PROTOBUF" | "JSON", "values": [base64…],
"proto": text of the file and "message": name, for Protobuf}. Standard output: a JSON array; what cannot be read is {"error": …}.
"""

import base64
import importlib
import json
import os
import sys
import tempfile

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

wanted = json.load(sys.stdin)
registry = SchemaRegistryClient({"url": wanted["registry"]})
context = SerializationContext("topic", MessageField.VALUE)


def protobuf_reader(text, message):
    from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
    from google.protobuf.json_format import MessageToDict
    from grpc_tools import protoc
    import grpc_tools

    directory = tempfile.mkdtemp()
    with open(os.path.join(directory, "wanted.proto"), "w") as file:
        file.write(text)
    include = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
    if protoc.main(["protoc", f"-I{directory}", f"-I{include}", f"--python_out={directory}", "wanted.proto"]) != 0:
        raise RuntimeError("protoc failed")
    sys.path.insert(0, directory)
    module = importlib.import_module("wanted_pb2")
    # Without the registry: it would ask for a binary form of the file that not every registry has.
    deserialize = ProtobufDeserializer(getattr(module, message), {"use.deprecated.format": False})
    return lambda value: MessageToDict(deserialize(value, context), preserving_proto_field_name=True)


def avro_reader():
    deserialize = AvroDeserializer(registry)
    return lambda value: deserialize(value, context)


def json_reader():
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer

    # The schema of the registry, by the id in the value.
    deserialize = JSONDeserializer(None, schema_registry_client=registry)
    return lambda value: deserialize(value, context)


readers = {"AVRO": avro_reader, "JSON": json_reader}
read = readers[wanted["type"]]() if wanted["type"] in readers else protobuf_reader(wanted["proto"], wanted["message"])


def read_one(text):
    try:
        return read(base64.b64decode(text))
    except Exception as error:  # whatever it is, the test is to see it
        return {"error": f"{type(error).__name__}: {error}"}


json.dump([read_one(value) for value in wanted["values"]], sys.stdout, default=str)
