"""Uses a Kafka broker as it is told and says what it counted: `kafka_client.py BROKERS`.

Each line of the standard input is a list, a word and its arguments; for each there is one line with what came
of it:

    ["topics", [name, ...], partitions]            makes topics
    ["produce", topic, count, acks]                a producer named "producer" that stays, one message in turn
    ["consume", topic, count, wait_ms]             a consumer named "consumer" without a group; reads so many,
                                                   and then asks once more for what is not there
    ["join", group, [topic, ...], count, wait_ms]  a consumer in a group, named "member"; commits and leaves
    ["counted"]                                    the requests that the clients that stay have sent, by their
                                                   names, by client, when all are answered
"""
import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

CLIENTS = {}
STATISTICS = {}


def configured(name, **more):
    return {"bootstrap.servers": sys.argv[1], "client.id": name, "statistics.interval.ms": 20,
            "stats_cb": lambda said: STATISTICS.__setitem__(name, json.loads(said)),
            **{key.replace("_", "."): value for key, value in more.items()}}


def topics(names, partitions):
    client = AdminClient({"bootstrap.servers": sys.argv[1], "client.id": "admin"})
    made = client.create_topics([NewTopic(name, partitions, 1) for name in names])
    return [str(it.exception(10)) for it in made.values() if it.exception(10)]


def produce(topic, count, acks):
    client = CLIENTS.get("producer")
    if client is None:
        client = CLIENTS["producer"] = Producer(configured("producer", acks=acks, linger_ms=0))
    done = []
    for number in range(count):
        client.produce(topic, f"{topic} {number}".encode(), partition=0,
                       on_delivery=lambda error, message: done.append(str(error) if error else message.offset()))
        client.flush(10)
    return done


def take(client, count):
    taken, deadline = [], time.monotonic() + 10
    while len(taken) < count and time.monotonic() < deadline:
        message = client.poll(0.1)
        if message is not None and not message.error():
            taken.append(message.value().decode())
    return taken


def consume(topic, count, wait_ms):
    client = CLIENTS["consumer"] = Consumer(configured(
        "consumer", group_id="none", enable_auto_commit=False, fetch_wait_max_ms=wait_ms))
    client.assign([TopicPartition(topic, 0, 0)])
    taken = take(client, count)
    client.poll(3 * wait_ms / 1000)
    client.pause(client.assignment())
    return taken


def join(group, names, count, wait_ms):
    client = Consumer(configured(
        "member", group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=100, auto_offset_reset="earliest",
        enable_auto_commit=False, fetch_wait_max_ms=wait_ms))
    client.subscribe(names)
    taken = take(client, count)
    client.commit(asynchronous=False)
    client.poll(3 * wait_ms / 1000)
    client.close()
    return taken


def counted():
    return {name: settled(name, client) for name, client in CLIENTS.items()}


def settled(name, client):
    """The numbers of requests, when everything is answered and nothing has come for ten reports."""
    before, same, deadline = None, 0, time.monotonic() + 10
    while same < 10 and time.monotonic() < deadline:
        STATISTICS.pop(name, None)
        while name not in STATISTICS:
            client.poll(0.01)
        brokers = STATISTICS[name]["brokers"].values()
        now = {"sent": sum(it["tx"] for it in brokers), "answered": sum(it["rx"] for it in brokers)}
        for broker in brokers:
            for api, count in broker["req"].items():
                if count:
                    now[api] = now.get(api, 0) + count
        same = same + 1 if now == before and now["sent"] == now["answered"] else 0
        before = now
    return before


DO = {"topics": topics, "produce": produce, "consume": consume, "join": join, "counted": counted}
for line in sys.stdin:
    what, *arguments = json.loads(line)
    print(json.dumps(DO[what](*arguments)), flush=True)
