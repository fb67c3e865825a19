// Package otherdevice adds a passkey that another device creates, for an account that is signed in here.
//
//	this browser, signed in                       the other device
//
//	Start ── QR code and short code ─ ─ ─ ─ ─ ─ ▶ /add#token, or /add and the short code
//	  │ asks for the state                          │ POST /add: the first one gets the offer and a cookie
//	  ▼                                             ▼
//	"opened in Chrome on Android"                 /add/passkey creates the passkey, which stays in the offer
//	  ▼                                             ▼
//	"Was that you?" ── yes: Confirm ─▶ stored     "Confirm on your first device", with the same number
//
// Until the owner confirms, the passkey is only in the offer, in the ephemeral store, where no sign-in looks for it. An
// offer lives for ten minutes. The store has only hashes of the token and the short code; the browser that shows them
// keeps them in a cookie.
package otherdevice

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

//go:embed pages/*.html
var files embed.FS

// TTL is how long an offer lives.
const TTL = 10 * time.Minute

// Config wires a Service.
type Config struct {
	Shell      *web.Shell
	Sessions   *session.Sessions
	Ceremonies *passkey.Ceremonies
	DB         *store.DB
	Ephemeral  ephemeral.Store
	Enrol      *enrol.Service
	Issuer     string // without a slash at the end
	RPID       string // for the Signal API
	Key        []byte // keys the hash of the short codes; shared by all replicas
	Insecure   bool   // http on localhost: cookies without __Host- and Secure
}

// Service keeps the offers and serves the pages of the other device.
type Service struct {
	cfg    Config
	pages  *web.Pages
	offers ephemeral.Bucket[offer]
	codes  ephemeral.Bucket[string]
}

// New parses the pages.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages of the other device: %w", err)
	}
	return &Service{
		cfg: cfg, pages: pages,
		offers: ephemeral.NewBucket[offer](cfg.Ephemeral, "other-device", TTL),
		codes:  ephemeral.NewBucket[string](cfg.Ephemeral, "other-device-code", TTL),
	}, nil
}

// A State says how far an offer has come.
type State string

const (
	Waiting   State = "waiting"   // not opened yet
	Opened    State = "opened"    // another device opened it
	Created   State = "created"   // that device created a passkey
	Confirmed State = "confirmed" // the passkey is stored
	Refused   State = "refused"   // the passkey is gone
	Over      State = "over"      // there is no offer, or it expired
)

// An offer is stored under the hash of its token.
type offer struct {
	UserID    string    `json:"user"`
	SessionID string    `json:"session"` // it alone can confirm
	ExpiresAt time.Time `json:"expires"` // fixed: a change of the entry must not extend it
	State     State     `json:"state"`
	Number    string    `json:"number"` // shown on both devices
	CodeHash  string    `json:"code"`   // key of the short code

	Opener  string `json:"opener,omitempty"` // hash of the cookie of the device that opened it
	Agent   string `json:"agent,omitempty"`
	Address string `json:"address,omitempty"`
	Network string `json:"network,omitempty"`
	Others  int    `json:"others,omitempty"` // how often another device tried to open it after that

	Passkey      *idp.Passkey `json:"passkey,omitempty"`
	CredentialID []byte       `json:"credential,omitempty"` // remains when the passkey is refused
}

// A View is what the browser that made the offer shows of it.
type View struct {
	State          State
	Link           string // for the QR code
	Code           string // the short code, in two groups
	Left           time.Duration
	Agent, Address string // of the other device
	SameNetwork    bool   // as this browser
	Others         int    // other devices that tried to open it too
	Number         string
	Passkey        idp.Passkey // if State is Created
}

// Tag changes whenever the page must be shown again.
func (v View) Tag() string { return fmt.Sprintf("%s-%d", v.State, v.Others) }

// errState means that an offer is not in the state that a change needs.
var errState = errors.New("offer in another state")

func (s *Service) cookie(name, value string, maxAge int) *http.Cookie {
	c := &http.Cookie{
		Name: "__Host-stepward-" + name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if s.cfg.Insecure {
		c.Name, c.Secure = "stepward-"+name, false
	}
	return c
}

// The cookie of the browser that made the offer holds the token and the short code, that of the other device the key of
// the offer and a secret.
const (
	offerCookie  = "offer"
	openerCookie = "add"
)

func (s *Service) readCookie(r *http.Request, name string) (first, second string) {
	c, err := r.Cookie(s.cookie(name, "", 0).Name)
	if err != nil {
		return "", ""
	}
	first, second, _ = strings.Cut(c.Value, ".")
	return first, second
}

// own returns the key of the offer that this browser made, or "".
func (s *Service) own(r *http.Request) string {
	token, _ := s.readCookie(r, offerCookie)
	if token == "" {
		return ""
	}
	return idp.Secret(token).Hash()
}

func (s *Service) codeKey(code string) string {
	mac := hmac.New(sha256.New, s.cfg.Key)
	mac.Write([]byte("other device: " + code))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const codeLen = 8

// newCode returns a short code of 40 bits, in letters and digits that cannot be mistaken for each other (RFC 4648 §6).
func newCode() string { return rand.Text()[:codeLen] }

// typedCode normalizes a short code. ok is false if it cannot be one.
func typedCode(typed string) (code string, ok bool) {
	code = strings.NewReplacer(" ", "", "-", "", "–", "", "0", "O", "1", "I", "8", "B").Replace(typed)
	code = strings.ToUpper(code)
	return code, len(code) == codeLen && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// newNumber returns four digits.
func newNumber() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(10_000)) // never fails
	return fmt.Sprintf("%02d %02d", n.Int64()/100, n.Int64()%100)
}

// Start makes an offer for this session, in place of its former one. The caller has made sure of a recent step-up.
func (s *Service) Start(w http.ResponseWriter, r *http.Request, sess *idp.Session) error {
	if over, err := limit.Exceeded(r.Context(), s.cfg.Ephemeral, limit.Offers.Of(sess.UserID)); err != nil {
		return fmt.Errorf("count offers: %w", err)
	} else if over {
		return &web.Problem{
			Status: http.StatusTooManyRequests, Limit: limit.Offers, Code: "too_many_requests",
			Words: "other.many", NextURL: "/account/passkeys",
		}
	}
	if err := s.withdraw(r, sess); err != nil {
		return err
	}
	token, code := idp.NewSecret(), newCode()
	o := offer{
		UserID: sess.UserID, SessionID: sess.ID, ExpiresAt: time.Now().Add(TTL), State: Waiting,
		Number: newNumber(), CodeHash: s.codeKey(code),
	}
	put, err := s.offers.PutOp(token.Hash(), o, 0)
	if err != nil {
		return fmt.Errorf("encode offer: %w", err)
	}
	index, err := s.codes.PutOp(o.CodeHash, token.Hash(), 0)
	if err != nil {
		return fmt.Errorf("encode offer: %w", err)
	}
	if err := s.cfg.Ephemeral.Do(r.Context(), put, index); err != nil {
		return fmt.Errorf("store offer: %w", err)
	}
	if err := s.record(r, idp.EventPasskeyOffered, o, nil); err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(offerCookie, token.Reveal()+"."+code, int(TTL/time.Second)))
	return nil
}

// withdraw deletes the former offer of this session.
func (s *Service) withdraw(r *http.Request, sess *idp.Session) error {
	o, err := s.offers.Get(r.Context(), s.own(r))
	if errors.Is(err, idp.ErrNotFound) || err == nil && o.SessionID != sess.ID {
		return nil
	} else if err != nil {
		return fmt.Errorf("load offer: %w", err)
	}
	err = s.cfg.Ephemeral.Do(r.Context(), s.offers.DeleteOp(s.own(r)), s.codes.DeleteOp(o.CodeHash))
	if err != nil {
		return fmt.Errorf("delete offer: %w", err)
	}
	return nil
}

func (s *Service) record(r *http.Request, kind idp.EventKind, o offer, detail map[string]string) error {
	ev := web.Event(r, kind, o.UserID)
	ev.SessionID, ev.Detail = o.SessionID, detail
	if err := s.cfg.DB.RecordEvents(r.Context(), ev); err != nil {
		return fmt.Errorf("record offer: %w", err)
	}
	return nil
}

// View returns the offer that this browser made in this session. If there is none, its state is Over.
func (s *Service) View(r *http.Request, sess *idp.Session) (View, error) {
	token, code := s.readCookie(r, offerCookie)
	o, err := s.offers.Get(r.Context(), idp.Secret(token).Hash())
	gone := err == nil && (!time.Now().Before(o.ExpiresAt) || o.SessionID != sess.ID)
	if gone || errors.Is(err, idp.ErrNotFound) {
		return View{State: Over}, nil
	} else if err != nil {
		return View{}, fmt.Errorf("load offer: %w", err)
	}
	v := View{
		State: o.State, Left: time.Until(o.ExpiresAt), Agent: o.Agent, Address: o.Address, Others: o.Others,
		SameNetwork: o.Network == web.ClientNetwork(r), Number: o.Number,
	}
	if o.State == Waiting && len(code) == codeLen {
		v.Link = s.cfg.Issuer + "/add#" + token
		v.Code = code[:codeLen/2] + "-" + code[codeLen/2:]
	}
	if o.State == Created {
		v.Passkey = *o.Passkey
	}
	return v, nil
}

// change changes the offer that this browser made in this session. idp.ErrNotFound if there is none, errState if it is
// in none of these states.
func (s *Service) change(r *http.Request, sess *idp.Session, to State, from ...State) (was offer, err error) {
	_, err = s.update(r, s.own(r), func(o *offer) error {
		if o.SessionID != sess.ID || o.UserID != sess.UserID {
			return idp.ErrNotFound
		}
		for _, state := range from {
			if o.State == state {
				was, o.State, o.Passkey = *o, to, nil
				return nil
			}
		}
		return errState
	})
	return was, err
}

// update changes an offer that has not expired, without extending it.
func (s *Service) update(r *http.Request, key string, f func(*offer) error) (offer, error) {
	old, err := s.offers.Get(r.Context(), key)
	if err != nil {
		return offer{}, err
	}
	left := time.Until(old.ExpiresAt)
	if left <= 0 {
		return offer{}, idp.ErrNotFound
	}
	return s.offers.Update(r.Context(), key, max(left, time.Second), f)
}

// Confirm stores the passkey of the offer. Of several calls one stores it, and of Confirm and Refuse one wins;
// idp.ErrNotFound for the others.
func (s *Service) Confirm(r *http.Request, sess *idp.Session, u idp.User) (idp.Passkey, error) {
	was, err := s.change(r, sess, Confirmed, Created)
	if errors.Is(err, errState) {
		return idp.Passkey{}, idp.ErrNotFound
	} else if err != nil {
		return idp.Passkey{}, fmt.Errorf("confirm passkey: %w", err)
	}
	k := *was.Passkey
	ev := web.Event(r, idp.EventPasskeyAdded, u.ID)
	ev.SessionID, ev.PasskeyID = sess.ID, k.ID
	ev.Detail = map[string]string{"name": k.Name, "way": "other device", "agent": was.Agent, "address": was.Address}
	if err := enrol.PasskeyProblem(s.cfg.DB.AddPasskeyTo(r.Context(), u, k, ev)); err != nil {
		if _, undone := s.change(r, sess, Refused, Confirmed); undone != nil {
			return idp.Passkey{}, errors.Join(err, undone)
		}
		return idp.Passkey{}, err
	}
	return k, nil
}

// Refuse ends the offer of this session, whatever became of it. If there is none, nothing happens.
func (s *Service) Refuse(r *http.Request, sess *idp.Session) error {
	was, err := s.change(r, sess, Refused, Waiting, Opened, Created)
	if errors.Is(err, errState) || errors.Is(err, idp.ErrNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("refuse passkey: %w", err)
	}
	return s.record(r, idp.EventOfferRefused, was, map[string]string{"agent": was.Agent, "address": was.Address})
}
