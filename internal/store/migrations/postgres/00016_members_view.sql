-- +goose Up
-- Users with all that the directory says of them, in one text: what it means stands in package rows. Most users are in
-- no group and have no value of a claim, and for them Postgres must not prepare to read seven tables: it does that for
-- everything in a query, even what it never runs, but not for a function that it never calls.
CREATE FUNCTION membership_of(member TEXT) RETURNS TEXT LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN COALESCE((SELECT string_agg('g' || chr(9) || g.name || chr(9) || g.id, chr(10))
            FROM group_members m JOIN group_paths p ON p.group_id = m.group_id JOIN user_groups g ON g.id = p.within_id
            WHERE m.user_id = member), '')
        || chr(10) || COALESCE((SELECT string_agg('v' || chr(9) || chr(9) || c.name || chr(9) || c.type || chr(9) || c.scope || chr(9) || v.value, chr(10))
            FROM user_claims v JOIN claims c ON c.name = v.name WHERE v.user_id = member), '')
        || chr(10) || COALESCE((SELECT string_agg('v' || chr(9) || g.name || chr(9) || c.name || chr(9) || c.type || chr(9) || c.scope || chr(9) || v.value, chr(10))
            FROM group_members m JOIN group_paths p ON p.group_id = m.group_id JOIN user_groups g ON g.id = p.within_id
            JOIN group_claims v ON v.group_id = g.id JOIN claims c ON c.name = v.name WHERE m.user_id = member), ''); END $$;
CREATE VIEW members AS
SELECT u.id, u.handle, u.email, u.email_verified, u.name, u.role, u.profile, u.created_at, u.updated_at,
    u.disabled_at, u.recovered_at, u.recovery_ready_at,
    CASE WHEN EXISTS (SELECT 1 FROM group_members m WHERE m.user_id = u.id) OR EXISTS (SELECT 1 FROM user_claims v WHERE v.user_id = u.id)
        THEN membership_of(u.id) ELSE '' END AS membership
FROM users u;
