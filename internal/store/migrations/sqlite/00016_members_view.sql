-- +goose Up
-- Users with all that the directory says of them, in one text: what it means stands in package rows.
CREATE VIEW members AS
SELECT u.id, u.handle, u.email, u.email_verified, u.name, u.role, u.profile, u.created_at, u.updated_at,
    u.disabled_at, u.recovered_at, u.recovery_ready_at,
    CASE WHEN EXISTS (SELECT 1 FROM group_members m WHERE m.user_id = u.id) OR EXISTS (SELECT 1 FROM user_claims v WHERE v.user_id = u.id)
        THEN COALESCE((SELECT group_concat('g' || char(9) || g.name || char(9) || g.id, char(10))
                FROM group_members m JOIN group_paths p ON p.group_id = m.group_id JOIN user_groups g ON g.id = p.within_id
                WHERE m.user_id = u.id), '')
            || char(10) || COALESCE((SELECT group_concat('v' || char(9) || char(9) || c.name || char(9) || c.type || char(9) || c.scope || char(9) || v.value, char(10))
                FROM user_claims v JOIN claims c ON c.name = v.name WHERE v.user_id = u.id), '')
            || char(10) || COALESCE((SELECT group_concat('v' || char(9) || g.name || char(9) || c.name || char(9) || c.type || char(9) || c.scope || char(9) || v.value, char(10))
                FROM group_members m JOIN group_paths p ON p.group_id = m.group_id JOIN user_groups g ON g.id = p.within_id
                JOIN group_claims v ON v.group_id = g.id JOIN claims c ON c.name = v.name WHERE m.user_id = u.id), '')
        ELSE '' END AS membership
FROM users u;
