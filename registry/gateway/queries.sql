-- name: list_admin_urls
-- Of the processes that live, the healthy first, and of those the one that was heard of last.
SELECT i.admin_url
  FROM agent_instances i
 WHERE i.tenant_id = %(tenant_id)s AND i.agent_id = %(agent_id)s AND i.admin_url IS NOT NULL
   AND i.alive_until > (SELECT until FROM registry_hearing)
 ORDER BY i.health <> 'ok', i.alive_until DESC, i.incarnation
 LIMIT %(limit)s;
