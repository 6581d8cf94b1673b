// A page such as Agent Chat UI: what useStream of the SDK's React part needs, asked for as that page asks.
import { useStream } from "@langchain/langgraph-sdk/react";
import { createElement, useState } from "react";
import { createRoot } from "react-dom/client";

const address = new URL(location.href);
const apiUrl = address.searchParams.get("api");

function Chat() {
  const [threadId, setThreadId] = useState(address.searchParams.get("thread"));
  const [text, setText] = useState("");
  const thread = useStream({
    apiUrl,
    assistantId: "agent",
    threadId,
    fetchStateHistory: true,
    reconnectOnMount: true,
    onThreadId(id) {
      setThreadId(id);
      address.searchParams.set("thread", id);
      history.replaceState({}, "", address);
    },
  });

  function send(event) {
    event.preventDefault();
    const human = { id: crypto.randomUUID(), type: "human", content: [{ type: "text", text }] };
    thread.submit(
      { messages: [...thread.messages, human], context: {} },
      {
        streamMode: ["values", "messages-tuple", "custom"],
        streamSubgraphs: true,
        streamResumable: true,
        onDisconnect: "continue",
        optimisticValues: (before) => ({ ...before, messages: [...(before.messages ?? []), human] }),
      },
    );
    setText("");
  }

  const words = (content) => (typeof content === "string" ? content : content.map((block) => block.text).join(""));
  return (
    <main>
      <ol>
        {thread.messages.map((message) => (
          <li key={message.id} className={message.type}>{words(message.content)}</li>
        ))}
      </ol>
      {thread.interrupt?.value && (
        <button onClick={() => thread.submit({}, { command: { resume: "yes" } })}>
          Answer {thread.interrupt.value.question}
        </button>
      )}
      {thread.isLoading && <button onClick={() => thread.stop()}>Stop</button>}
      <p role="status">{thread.isLoading ? "busy" : thread.error ? String(thread.error) : "ready"}</p>
      <form onSubmit={send}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
      </form>
    </main>
  );
}

createRoot(document.getElementById("root")).render(createElement(Chat));
