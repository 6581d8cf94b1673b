// Goes through the JavaScript SDK call by call: node sdk.mjs PACKAGE URL. Prints the names of the steps that held.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

const [sdk, apiUrl] = process.argv.slice(2);
const { Client } = await import(sdk);
const client = new Client({ apiUrl, apiKey: null });
const { assistants, runs, store, threads } = client;

const say = (content) => ({ messages: [{ role: "user", content }] });
const said = (values) => values.messages.at(-1).content;

async function collect(stream, until = () => false) {
  const parts = [];
  for await (const part of stream) {
    parts.push(part);
    if (until(part)) break;
  }
  return parts;
}

async function read_assistants() {
  const [found] = await assistants.search({ graphId: "agent" });
  assert.equal((await assistants.get(found.assistant_id)).name, "agent");
  assert.ok((await assistants.getGraph("agent", { xray: true })).nodes.length > 3);
  assert.ok((await assistants.getSchemas(found.assistant_id)).state_schema);
  assert.ok("inner" in (await assistants.getSubgraphs(found.assistant_id, { recurse: true })));
  assert.equal((await assistants.getVersions(found.assistant_id)).length, 1);
  assert.equal(await assistants.count({}), 1);
  await assert.rejects(assistants.create({ graphId: "agent" }), /405/);
}

async function change_threads() {
  const { thread_id } = await threads.create({ metadata: { a: 1 }, graphId: "agent", ttl: 60 });
  await threads.update(thread_id, { metadata: { b: 2 } });
  assert.equal(await threads.update(thread_id, { metadata: { c: 3 }, returnMinimal: true }), undefined);
  const query = { metadata: { graph_id: "agent", b: 2 }, ids: [thread_id], sortBy: "status", select: ["thread_id"] };
  const extract = { c: "metadata.c" };
  assert.deepEqual(await threads.search({ ...query, extract }), [{ thread_id, extracted: { c: 3 } }]);
  assert.deepEqual((await threads.getState(thread_id)).next, []);
  const copy = await threads.copy(thread_id);
  assert.equal(copy.metadata.c, 3);
  await threads.delete(copy.thread_id);
  await assert.rejects(threads.get(copy.thread_id), /404/);
  await assert.rejects(threads.create({ threadId: thread_id }), /409/);
  await assert.rejects(threads.patchState(thread_id, {}), /405/);
  assert.equal((await threads.prune([thread_id])).pruned_count, 1);
}

async function replay_supersteps() {
  const updates = [{ values: say("one"), asNode: "__start__" }];
  const thread = await threads.create({ graphId: "agent", supersteps: [{ updates }] });
  assert.equal(said(thread.values), "one");
}

async function stream_and_rejoin() {
  const { thread_id } = await threads.create();
  const streamMode = ["values", "messages-tuple", "updates", "custom", "tools", "lifecycle"];
  let created;
  const onRunCreated = (run) => (created = run);
  const asked = { input: say("say"), streamMode, streamSubgraphs: true, streamResumable: true, onRunCreated };
  const parts = await collect(runs.stream(thread_id, "agent", asked));
  assert.equal(created.thread_id, thread_id);
  assert.equal(parts[0].event, "metadata");
  const names = parts.map((part) => part.event);
  assert.ok(names.some((name) => name.startsWith("messages|inner:")));
  const again = await collect(runs.joinStream(thread_id, created.run_id, { lastEventId: "-1" }));
  assert.deepEqual(again.map((part) => part.event), names);
  const filtered = { lastEventId: "-1", streamMode: ["updates"] };
  const only = await collect(runs.joinStream(thread_id, created.run_id, filtered));
  assert.ok(only.length && only.every((part) => part.event.startsWith("updates")));
}

async function run_in_background_and_look_back() {
  const { thread_id } = await threads.create();
  for (const text of ["hello one", "hello two"]) {
    const run = await runs.create(thread_id, "agent", { input: say(text), metadata: { text } });
    assert.equal(said(await runs.join(thread_id, run.run_id)), text.slice(6));
    assert.equal((await runs.get(thread_id, run.run_id)).status, "success");
  }
  const [newest] = await runs.list(thread_id, { select: ["run_id"] });
  const history = await threads.getHistory(thread_id, { limit: 50 });
  history.slice(1).forEach((state, place) => {
    assert.equal(history[place].parent_checkpoint.checkpoint_id, state.checkpoint.checkpoint_id);
  });
  const before = { configurable: { checkpoint_id: history[2].checkpoint.checkpoint_id } };
  const [earlier] = await threads.getHistory(thread_id, { before });
  assert.equal(earlier.checkpoint.checkpoint_id, history[3].checkpoint.checkpoint_id);
  await runs.delete(thread_id, newest.run_id);
  await assert.rejects(runs.get(thread_id, newest.run_id), /404/);
}

async function leave_nothing() {
  let created;
  const onRunCreated = (run) => (created = run);
  assert.equal(said(await runs.wait(null, "agent", { input: say("hello nobody"), onRunCreated })), "nobody");
  await assert.rejects(threads.get(created.thread_id), /404/);
  const parts = await collect(runs.stream(null, "agent", { input: say("hello x"), streamMode: "values" }));
  assert.equal(said(parts.at(-1).data), "x");
  const kept = await runs.create(null, "agent", { input: say("hello kept"), onCompletion: "keep" });
  assert.equal(said(await runs.join(kept.thread_id, kept.run_id)), "kept");
  const one = { assistantId: "agent", input: say("hello batch") };
  assert.equal((await runs.createBatch([one, one])).length, 2);
}

async function hear_what_is_wrong() {
  const { thread_id } = await threads.create();
  await assert.rejects(runs.wait(null, "agent", { input: say("fail x") }), /ValueError/);
  await assert.rejects(runs.wait(thread_id, "agent", {}), /EmptyInputError/);
  await assert.rejects(runs.create(thread_id, "nothing", {}), /422/);
  await assert.rejects(runs.create(randomUUID(), "agent", {}), /404/);
  await assert.rejects(runs.cancel(thread_id, randomUUID()), /404/);
  await assert.rejects(client.crons.create("agent", { schedule: "* * * * *" }), /405/);
}

// In the order in which Agent Inbox makes them.
async function work_through_an_inbox() {
  const info = await fetch(`${apiUrl}/info`).then((answer) => answer.json());
  assert.equal(info.host.tenant_id, null);
  const { thread_id } = await threads.create();
  await runs.wait(thread_id, "agent", { input: say("ask ok?") });
  const metadata = { graph_id: "agent" };
  const page = await threads.search({ metadata, status: "interrupted", limit: 10, offset: 0 });
  const waiting = page.find((thread) => thread.thread_id === thread_id);
  const [[interrupt]] = Object.values(waiting.interrupts);
  assert.deepEqual(interrupt.value, { question: "ok?" });
  assert.equal((await threads.getState(thread_id)).tasks.at(-1).interrupts.at(-1).id, interrupt.id);
  const command = { resume: [{ type: "response", args: "yes" }] };
  const events = await collect(runs.stream(thread_id, "agent", { command, streamMode: "events" }));
  assert.ok(events.some((part) => part.data.event === "on_chain_start" && part.data.metadata.langgraph_node));
  assert.match(said((await threads.getState(thread_id)).values), /^heard .*yes/);
  await runs.wait(thread_id, "agent", { input: say("ask again?") });
  await threads.updateState(thread_id, { values: null, asNode: "__end__" });
  assert.equal((await threads.get(thread_id)).status, "idle");
}

async function follow_a_thread() {
  const { thread_id } = await threads.create();
  await runs.wait(thread_id, "agent", { input: say("hello thread") });
  const isDone = (part) => part.data?.status === "run_done";
  const parts = await collect(threads.joinStream(thread_id, { lastEventId: "-1" }), isDone);
  assert.equal(parts[0].event, "metadata");
  assert.equal(said(parts.at(-2).data), "thread");
}

async function speak_the_protocol() {
  const thread = threads.stream({ assistantId: "agent" });
  assert.ok((await thread.run.start({ input: say("say") })).run_id);
  const { messages } = await thread.output;
  assert.equal(messages.at(-1).content, "well said");
  await thread.close();
}

async function keep_things() {
  const label = sdk.replaceAll(".", "-");
  await store.putItem(["notes", label], "k", { x: 1 });
  assert.deepEqual((await store.getItem(["notes", label], "k")).value, { x: 1 });
  assert.equal((await store.searchItems(["notes", label], { filter: { x: 1 } })).items.length, 1);
  assert.deepEqual((await store.listNamespaces({ prefix: ["notes", label] })).namespaces, [["notes", label]]);
  await store.deleteItem(["notes", label], "k");
  assert.equal(await store.getItem(["notes", label], "k"), null);
}

const steps = [
  read_assistants,
  change_threads,
  replay_supersteps,
  stream_and_rejoin,
  run_in_background_and_look_back,
  leave_nothing,
  hear_what_is_wrong,
  work_through_an_inbox,
  follow_a_thread,
  speak_the_protocol,
  keep_things,
];
for (const step of steps) {
  await step();
  console.log(step.name);
}
process.exit(0); // open streams would keep it
