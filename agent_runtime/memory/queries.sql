-- name: find_summary
-- With the thread's position: a thread that was deleted and opened again under the same id has another one.
SELECT t.position, m.summary, m.summarized_messages, m.last_message_id
  FROM agent_threads t
  LEFT JOIN persistent_memory m ON m.thread_id = t.thread_id
 WHERE t.thread_id = %(thread_id)s AND t.owner_key = %(owner_key)s;

-- name: store_summary
-- Only while the thread is the one that was read, and only in place of the summary that this one continues. The
-- lock makes it wait for a deletion, and find nothing afterwards.
INSERT INTO persistent_memory (thread_id, owner_key, summary, summarized_messages, last_message_id)
SELECT t.thread_id, t.owner_key, %(summary)s, %(summarized_messages)s, %(last_message_id)s
  FROM agent_threads t
 WHERE t.thread_id = %(thread_id)s AND t.owner_key = %(owner_key)s AND t.position = %(position)s
   FOR KEY SHARE
    ON CONFLICT (thread_id) DO UPDATE
   SET summary = EXCLUDED.summary,
       summarized_messages = EXCLUDED.summarized_messages,
       last_message_id = EXCLUDED.last_message_id,
       updated_at = now()
 WHERE persistent_memory.owner_key = %(owner_key)s
   AND persistent_memory.summarized_messages = %(continued_messages)s
   AND persistent_memory.last_message_id = %(continued_message_id)s;

-- name: find_store_table
SELECT 1 WHERE to_regclass(%(name)s) IS NOT NULL;

-- name: count_stored_items
-- A part is hexadecimal, so nothing of it means anything to LIKE.
SELECT count(*) FROM store WHERE prefix = %(part)s OR prefix LIKE %(part)s || '.%%';

-- name: erase_stored_items
-- The vectors of an item go with it.
DELETE FROM store WHERE prefix = %(part)s OR prefix LIKE %(part)s || '.%%';

-- name: count_callers_items
-- Namespaces that have the caller's name as a label: those that it reaches over LangGraph's API.
SELECT count(*) FROM store
 WHERE prefix LIKE %(part)s || '.%%' AND %(caller)s = ANY(string_to_array(substr(prefix, 34), '.'));

-- name: erase_callers_items
DELETE FROM store
 WHERE prefix LIKE %(part)s || '.%%' AND %(caller)s = ANY(string_to_array(substr(prefix, 34), '.'));

-- name: copy_stored_items
-- Copied, and the old ones deleted afterwards, because vectors refer to items by their namespace. Every column,
-- whichever there are: the table is LangGraph's.
INSERT INTO store
SELECT (jsonb_populate_record(s, jsonb_build_object('prefix', %(new)s || substr(s.prefix, 33)))).*
  FROM store s WHERE s.prefix = %(old)s OR s.prefix LIKE %(old)s || '.%%'
    ON CONFLICT DO NOTHING;

-- name: copy_stored_vectors
INSERT INTO store_vectors
SELECT (jsonb_populate_record(v, jsonb_build_object('prefix', %(new)s || substr(v.prefix, 33)))).*
  FROM store_vectors v WHERE v.prefix = %(old)s OR v.prefix LIKE %(old)s || '.%%'
    ON CONFLICT DO NOTHING;
