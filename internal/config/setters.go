package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"

	"github.com/stepward/stepward/internal/config/policy"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

func setIssuer(c *Config, v string) error {
	u, err := origin(v)
	if err != nil {
		return fmt.Errorf("%q %w; use the public origin, such as https://id.example.com", v, err)
	}
	if fault := relyingPartyFault(u.Hostname()); fault != "" {
		return fmt.Errorf("%q %s", v, fault)
	}
	if u.Scheme == "http" && u.Hostname() != "localhost" {
		return fmt.Errorf("%q is not https, which passkeys need (except http://localhost, for development)", v)
	}
	c.Issuer = u
	return nil
}

// passkeyHost reads a host that passkeys can be made for.
func passkeyHost(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		host, err := asciiHost(v)
		if err != nil || strings.ContainsAny(v, "/:") || host != "localhost" && relyingPartyFault(host) != "" {
			return fmt.Errorf("%q is not a host; write a host like that of issuer, such as id.example.com", v)
		}
		*field(c) = host
		return nil
	}
}

func setMTLSOrigin(c *Config, v string) error {
	u, err := origin(v)
	if err == nil && u.Scheme != "https" {
		err = errors.New("is not https")
	}
	if err != nil {
		return fmt.Errorf("%q %w; use an https origin, such as https://mtls.id.example.com, or a separate port", v, err)
	}
	c.MTLSOrigin = u
	return nil
}

func address(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		_, port, err := net.SplitHostPort(v)
		if err != nil || port == "" {
			return fmt.Errorf("%q is not address:port; use localhost:8080, or :8080 for all interfaces", v)
		}
		if _, err := net.LookupPort("tcp", port); err != nil {
			return fmt.Errorf("%q has the port %s, which is not between 0 and 65535", v, port)
		}
		*field(c) = v
		return nil
	}
}

// models reads a list of AAGUIDs.
func models(field func(*Config) *[]uuid.UUID) func(*Config, string) error {
	return func(c *Config, v string) error {
		for _, item := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }) {
			id, err := directory.ParseModel(item)
			if err != nil {
				return err
			}
			*field(c) = append(*field(c), id)
		}
		return nil
	}
}

// setPasskeyRules reads rules separated by commas.
func setPasskeyRules(c *Config, v string) error {
	for item := range strings.SplitSeq(v, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		rule, err := directory.ParsePasskeyRule(item)
		if err != nil {
			return err
		}
		c.PasskeyRules = append(c.PasskeyRules, rule)
	}
	return nil
}

func setProxies(c *Config, v string) error {
	for _, item := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, addrErr := netip.ParseAddr(item)
			if addrErr != nil {
				return fmt.Errorf("%q is neither a network nor an address; use 10.0.0.0/8 or 192.0.2.7", item)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Bits() == 0 {
			return fmt.Errorf("%q would trust everyone; name the networks of the proxies", item)
		}
		c.TrustedProxies = append(c.TrustedProxies, prefix.Masked())
	}
	return nil
}

var hostPattern = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$`)

func setOutbound(c *Config, v string) error {
	for _, item := range strings.FieldsFunc(strings.ToLower(v), func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(item)
		if addr, addrErr := netip.ParseAddr(item); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if name, nameErr := hostNames.ToASCII(item); nameErr == nil {
			item = name // an IDN as A-labels
		}
		switch {
		case err == nil && prefix.Bits() == 0:
			return fmt.Errorf("%q would allow everything; name only the networks you need", item)
		case err == nil:
			c.OutboundNetworks = append(c.OutboundNetworks, prefix.Masked())
		case hostPattern.MatchString(item):
			c.OutboundHosts = append(c.OutboundHosts, item)
		default:
			return fmt.Errorf("%q is not a network, address or host name; use 10.1.0.0/16, 192.0.2.7 or keys.internal", item)
		}
	}
	return nil
}

// setURL never repeats the value, which may contain a password.
func setURL(field func(*Config) *idp.Secret, schemes ...string) func(*Config, string) error {
	return func(c *Config, v string) error {
		u, err := url.Parse(v)
		if err != nil {
			return fmt.Errorf("not a URL; use %s://…", schemes[0])
		}
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				*field(c) = idp.Secret(v)
				return nil
			}
		}
		return fmt.Errorf("a URL with the scheme %q; use %s://…", u.Scheme, strings.Join(schemes, ":// or "))
	}
}

// VaultPrefix is how a ciphertext of Vault's transit engine begins.
const VaultPrefix = "vault:v"

func setKey(c *Config, v string) error {
	c.Key = idp.Secret(v)
	return checkKey(v)
}

func setPreviousKeys(c *Config, v string) error {
	c.KeyPrevious = idp.Secret(v)
	for _, key := range KeysIn(v) {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	return nil
}

func setVaultToken(c *Config, v string) error {
	if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("has characters that no token has")
	}
	c.KeyVaultToken = idp.Secret(v)
	return nil
}

func checkKey(v string) error {
	raw, err := base64.StdEncoding.DecodeString(v)
	if (err != nil || len(raw) != 32) && !strings.HasPrefix(v, VaultPrefix) {
		return errors.New("not 32 bytes in base64; make one with: openssl rand -base64 32")
	}
	return nil
}

// KeysIn splits keys that are separated by commas, blanks or line breaks.
func KeysIn(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

func setFrom(c *Config, v string) error {
	if _, err := mail.ParseAddress(v); err != nil || strings.ContainsAny(v, "\r\n") {
		return fmt.Errorf("%q is not a sender; use Name <name@example.com>", v)
	}
	c.From = v
	return nil
}

var accentPattern = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// listed splits a list at commas and blanks.
func listed(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}

func setLanguages(c *Config, v string) (err error) {
	c.Languages, err = words.Only(listed(v))
	return err
}

func setRegistrationScopes(c *Config, v string) error {
	c.RegistrationScopes = listed(v)
	for _, scope := range c.RegistrationScopes {
		if !policy.ScopeToken(scope) {
			return fmt.Errorf("%q is not a scope, such as openid profile email", scope)
		}
	}
	return nil
}

func setAccent(c *Config, v string) error {
	if !accentPattern.MatchString(v) {
		return fmt.Errorf("%q is not a colour; use six hexadecimal digits, #1a6b5a", v)
	}
	c.Accent = v
	return nil
}

func setTraceURL(c *Config, v string) error {
	u, err := url.Parse(v)
	switch {
	case err != nil:
		return errors.New("is not a URL such as http://collector:4318")
	case u.User != nil:
		return errors.New("contains a password; put it into trace-headers: Authorization: Basic …")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%q is not a URL such as http://collector:4318", v)
	}
	c.TraceURL = strings.TrimSuffix(strings.TrimSuffix(v, "/"), "/v1/traces")
	return nil
}

// setTraceHeaders never repeats a value, which may be a password.
func setTraceHeaders(c *Config, v string) error {
	c.TraceHeaders = http.Header{}
	for line := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == '\n' || r == ',' }) {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return errors.New("is not headers; use Name: value, one a line or separated by commas")
		}
		c.TraceHeaders.Add(name, value)
	}
	return nil
}

func setTraceSample(c *Config, v string) error {
	share, err := strconv.ParseFloat(v, 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return fmt.Errorf("%q is not a share between 0 and 1, such as 0.01", v)
	}
	c.TraceSample = share
	return nil
}

func setLevel(c *Config, v string) error {
	if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
		return fmt.Errorf("%q is not a level; use debug, info, warn or error", v)
	}
	return nil
}

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		return nil
	}
}

func httpsURL(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" {
			return fmt.Errorf("%q is not an https URL, such as https://example.com/help", v)
		}
		*field(c) = v
		return nil
	}
}

func period(field func(*Config) *time.Duration, least, most time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := duration.Parse(v)
		if err != nil {
			return err
		}
		if d < least || d > most {
			return fmt.Errorf("%q is not between %s and %s", v, duration.Short(least), duration.Short(most))
		}
		*field(c) = d
		return nil
	}
}

func number(field func(*Config) *int64, least, most int64) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a number between %d and %d", v, least, most)
		}
		*field(c) = n
		return nil
	}
}

func choice(set func(*Config, string), values ...string) func(*Config, string) error {
	return func(c *Config, v string) error {
		for _, value := range values {
			if v == value {
				set(c, v)
				return nil
			}
		}
		return fmt.Errorf("%q is not one of %s", v, strings.Join(values, ", "))
	}
}
