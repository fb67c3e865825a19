// Package floor is a bare server for make bench: it does the work that no provider on Postgres and Redis can avoid, and
// nothing else. Our server is measured beside it, so that a reader sees how far we are from the limit on any machine.
//
// Each operation uses the same HTTP server, drivers and cryptography as ours, and as few round trips as the protocol
// allows:
//
//	authorize            1 Redis (store the request), or with a session 2 (read it, store the code)
//	sign-in page         1 Redis
//	finish               1 Redis (take the request) + 1 SQL (passkey) + 1 SQL (count, event) + 1 Redis (session, code);
//	                     verifies one ES256 assertion
//	code exchange        1 Redis (take the code) + 1 SQL (the family); signs two tokens
//	refresh              1 SQL; signs two tokens
//	userinfo, introspect 1 SQL; a token that was verified before is not verified again
//	client_credentials   none; signs one token
//
// It is not a provider. It checks no redirect URI, scope, origin or flag, limits nothing, logs nothing, deletes nothing
// and knows one client. Never expose it to a network. Nothing but the benchmark imports it.
package floor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

const schema = `
CREATE TABLE floor_passkeys (id bytea PRIMARY KEY, user_id text, key bytea, count bigint);
CREATE TABLE floor_events (at bigint, user_id text, kind text, passkey_id bytea);
CREATE INDEX floor_events_user ON floor_events (user_id, at);
CREATE TABLE floor_families (id text PRIMARY KEY, user_id text, refresh text UNIQUE, expires_at bigint)`

// A Server answers the operations of the benchmark. It is safe for concurrent use.
type Server struct {
	issuer    string
	sql       *pgxpool.Pool
	redis     *redis.Client
	key       *ecdsa.PrivateKey
	discovery []byte
	verified  sync.Map // hash of an access token → its family
}

// New connects to the stores and creates the tables.
func New(ctx context.Context, issuer, databaseURL, redisURL string) (*Server, error) {
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	options.PipelinePoolSize = -1 // as in ours
	s := &Server{issuer: issuer, redis: redis.NewClient(options)}
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if s.sql, err = pgxpool.New(ctx, databaseURL); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if _, err = s.sql.Exec(ctx, schema, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, fmt.Errorf("create tables: %w", err)
	}
	s.discovery, err = json.Marshal(map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/oauth2/authorize", "token_endpoint": issuer + "/oauth2/token",
		"jwks_uri": issuer + "/oauth2/jwks", "response_types_supported": []string{"code"},
	})
	return s, err
}

// Close closes the connections.
func (s *Server) Close() {
	s.sql.Close()
	_ = s.redis.Close()
}

// Handler returns the routes, with the same addresses and forms as ours.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /passkeys":             s.register,
		"GET /oauth2/authorize":      s.authorize,
		"GET /login":                 s.page,
		"POST /login/passkey/finish": s.finish,
		"POST /oauth2/token":         s.token,
		"POST /oauth2/userinfo":      s.userinfo,
		"POST /oauth2/introspect":    s.introspect,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		})
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(s.discovery)
	})
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	return mux
}

// A Passkey is what /passkeys stores: the point of a P-256 key, uncompressed (SEC 1 §2.3.3).
type Passkey struct {
	ID, Key []byte
	User    string
}

func (s *Server) register(_ http.ResponseWriter, r *http.Request) error {
	var k Passkey
	if err := json.NewDecoder(r.Body).Decode(&k); err != nil {
		return err
	}
	_, err := s.sql.Exec(r.Context(), `INSERT INTO floor_passkeys VALUES ($1, $2, $3, 0)`, k.ID, k.User, k.Key)
	return err
}

// A request is what the server remembers from authorize to the exchange.
type request struct {
	Redirect, State, Nonce, Challenge string // Challenge: PKCE
	User                              string
	Passkey                           []byte // the challenge of the passkey
}

const life = 10 * time.Minute

func (s *Server) put(ctx context.Context, pipe redis.Cmdable, key string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return pipe.Set(ctx, key, content, life).Err()
}

func (s *Server) authorize(w http.ResponseWriter, r *http.Request) error {
	form := r.URL.Query()
	q := request{
		Redirect: form.Get("redirect_uri"), State: form.Get("state"), Nonce: form.Get("nonce"),
		Challenge: form.Get("code_challenge"),
	}
	if cookie, err := r.Cookie("floor"); err == nil {
		if q.User, err = s.redis.Get(r.Context(), "floor:session:"+hash(cookie.Value)).Result(); err != nil {
			return err
		}
		code := rand.Text()
		if err := s.put(r.Context(), s.redis, "floor:code:"+hash(code), q); err != nil {
			return err
		}
		http.Redirect(w, r, q.answer(code), http.StatusSeeOther)
		return nil
	}
	id := rand.Text()
	q.Passkey = make([]byte, 32)
	_, _ = rand.Read(q.Passkey)
	if err := s.put(r.Context(), s.redis, "floor:request:"+id, q); err != nil {
		return err
	}
	http.Redirect(w, r, "/login?i="+id, http.StatusFound)
	return nil
}

// answer returns the redirect to the client.
func (q request) answer(code string) string {
	return q.Redirect + "?" + url.Values{"code": {code}, "state": {q.State}}.Encode()
}

// page is about as long as our sign-in page, and drives the same scripted browser.
var page = [2]string{
	`<!doctype html><html><body data-page="login">` + string(bytes.Repeat([]byte("<p>text</p>"), 300)) +
		`<div data-passkey="signin" data-finish="/login/passkey/finish" data-ceremony="-" data-interaction="`,
	`" data-options="` + html.EscapeString(`{"publicKey":{"userVerification":"required","rpId":"localhost","challenge":"`),
}

func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("i")
	content, err := s.redis.Get(r.Context(), "floor:request:"+id).Bytes()
	if err != nil {
		return err
	}
	var q request
	if err := json.Unmarshal(content, &q); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(page[0] + id + page[1] + b64(q.Passkey) + `&#34;}}"></div></body></html>`))
	return err
}

// binary is base64url in JSON.
type binary []byte

func (b *binary) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.AppendDecode(nil, text)
	return err
}

func (s *Server) finish(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		I          string
		Credential struct {
			RawID    binary
			Response struct{ ClientDataJSON, AuthenticatorData, Signature binary }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return err
	}
	ctx, answer := r.Context(), in.Credential.Response
	content, err := s.redis.GetDel(ctx, "floor:request:"+in.I).Bytes()
	if err != nil {
		return err
	}
	var q request
	if err := json.Unmarshal(content, &q); err != nil {
		return err
	}
	var point []byte
	id := []byte(in.Credential.RawID)
	err = s.sql.QueryRow(ctx, `SELECT user_id, key FROM floor_passkeys WHERE id = $1`, id).Scan(&q.User, &point)
	if err != nil {
		return err
	}
	var data struct{ Challenge binary }
	if err := json.Unmarshal(answer.ClientDataJSON, &data); err != nil || !bytes.Equal(data.Challenge, q.Passkey) {
		return fmt.Errorf("another challenge: %w", err)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return err
	}
	client := sha256.Sum256(answer.ClientDataJSON)
	digest := sha256.Sum256(append(answer.AuthenticatorData, client[:]...))
	if !ecdsa.VerifyASN1(key, digest[:], answer.Signature) {
		return fmt.Errorf("wrong signature")
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE floor_passkeys SET count = count + 1 WHERE id = $1`, id)
	batch.Queue(`INSERT INTO floor_events VALUES ($1, $2, 'signed_in', $3)`, time.Now().UnixMilli(), q.User, id)
	if err := s.sql.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	session, code := rand.Text(), rand.Text()
	pipe := s.redis.Pipeline()
	pipe.Set(ctx, "floor:session:"+hash(session), q.User, life)
	if err := s.put(ctx, pipe, "floor:code:"+hash(code), q); err != nil {
		return err
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: "floor", Value: session, Path: "/", HttpOnly: true})
	return write(w, map[string]any{"next": q.answer(code)})
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	client, secret, _ := r.BasicAuth()
	_ = hash(secret) // whatever it is: every client is the benchmark's
	switch ctx, now := r.Context(), time.Now(); r.PostForm.Get("grant_type") {
	case "authorization_code":
		content, err := s.redis.GetDel(ctx, "floor:code:"+hash(r.PostForm.Get("code"))).Bytes()
		if err != nil {
			return err
		}
		var q request
		if err := json.Unmarshal(content, &q); err != nil {
			return err
		}
		if q.Challenge != hash(r.PostForm.Get("code_verifier")) {
			return fmt.Errorf("wrong verifier")
		}
		family, refresh := rand.Text(), rand.Text()
		_, err = s.sql.Exec(ctx, `INSERT INTO floor_families VALUES ($1, $2, $3, $4)`,
			family, q.User, hash(refresh), now.Add(life).UnixMilli())
		if err != nil {
			return err
		}
		return s.issue(w, issued{client, q.User, q.Nonce, family, refresh})
	case "refresh_token":
		family, user, refresh := "", "", rand.Text()
		err := s.sql.QueryRow(ctx,
			`UPDATE floor_families SET refresh = $2 WHERE refresh = $1 AND expires_at > $3 RETURNING id, user_id`,
			hash(r.PostForm.Get("refresh_token")), hash(refresh), now.UnixMilli()).Scan(&family, &user)
		if err != nil {
			return err
		}
		return s.issue(w, issued{client: client, user: user, family: family, refresh: refresh})
	default:
		access, err := s.sign(map[string]any{
			"iss": s.issuer, "sub": client, "aud": client, "exp": now.Add(life).Unix(), "jti": rand.Text(),
		})
		if err != nil {
			return err
		}
		return write(w, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 600})
	}
}

type issued struct{ client, user, nonce, family, refresh string }

func (s *Server) issue(w http.ResponseWriter, to issued) error {
	exp := time.Now().Add(life).Unix()
	access, err := s.sign(map[string]any{
		"iss": s.issuer, "sub": to.user, "aud": s.issuer, "client_id": to.client, "exp": exp, "fam": to.family,
	})
	if err != nil {
		return err
	}
	id, err := s.sign(map[string]any{"iss": s.issuer, "sub": to.user, "aud": to.client, "nonce": to.nonce, "exp": exp})
	if err != nil {
		return err
	}
	return write(w, map[string]any{
		"access_token": access, "id_token": id, "refresh_token": to.refresh, "token_type": "Bearer", "expires_in": 600,
	})
}

// find returns the user of an access token whose family is live.
func (s *Server) find(ctx context.Context, token string) (user string, err error) {
	sum := sha256.Sum256([]byte(token))
	family, ok := s.verified.Load(sum)
	if !ok {
		if family, err = s.verify(token); err != nil {
			return "", err
		}
		s.verified.Store(sum, family)
	}
	err = s.sql.QueryRow(ctx, `SELECT user_id FROM floor_families WHERE id = $1 AND expires_at > $2`,
		family, time.Now().UnixMilli()).Scan(&user)
	return user, err
}

func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) error {
	user, err := s.find(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if err != nil {
		return err
	}
	return write(w, map[string]any{"sub": user, "email": user, "email_verified": true})
}

func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	_, secret, _ := r.BasicAuth()
	_ = hash(secret)
	user, err := s.find(r.Context(), r.PostFormValue("token"))
	if err != nil {
		return err
	}
	return write(w, map[string]any{"active": true, "sub": user})
}

func write(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return b64(sum[:])
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
