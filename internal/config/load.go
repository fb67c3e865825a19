package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/stepward/stepward/internal/config/policy"
)

// Sources are the inputs of Load. Flags contains only the flags that were given, by Setting.Flag.
type Sources struct {
	Flags   map[string]string
	Environ []string // as os.Environ
	File    string   // YAML; empty: none
	// NoMail leaves smtp-url out, and does not ask for it: for commands that send no mail.
	NoMail bool
}

// A Fault is one fault of the settings.
type Fault struct {
	Setting string
	Source  string // where it was set: "--issuer", "STEPWARD_ISSUER", "stepward.yaml:3", "default"
	Message string
	Err     error // what was found; nil if the value alone is wrong
}

// Faults are all faults of the settings, as one error with a line for each.
type Faults []Fault

func (f Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d settings need attention:", len(f))
	if len(f) == 1 {
		b.Reset()
		b.WriteString("a setting needs attention:")
	}
	for _, fault := range f {
		fmt.Fprintf(&b, "\n  %s", fault.Setting)
		if fault.Source != "" {
			fmt.Fprintf(&b, " (%s)", fault.Source)
		}
		fmt.Fprintf(&b, ": %s", fault.Message)
	}
	return b.String()
}

// Unwrap returns what the faults were found by.
func (f Faults) Unwrap() (errs []error) {
	for _, fault := range f {
		if fault.Err != nil {
			errs = append(errs, fault.Err)
		}
	}
	return errs
}

// Fault returns a fault of a setting that was found by using it. err may be nil.
func (c *Config) Fault(setting, message string, err error) Fault {
	return Fault{Setting: setting, Source: c.sources[setting], Message: message, Err: err}
}

// FileReason says why a file is of no use: `"path" cannot be read: no such file or directory`, or else what err says.
func FileReason(err error) string {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("%q cannot be read: %v", file.Path, file.Err)
	}
	return err.Error()
}

// value is the text of a setting and where it was set.
type value struct{ text, source string }

// Load reads and validates the settings. If they are invalid, the error is Faults.
func Load(src Sources) (*Config, error) {
	in := inputs{values: map[string]value{}, lines: map[string]string{}, written: map[string]any{}, noMail: src.NoMail}
	for _, s := range Settings {
		if s.Default != "" {
			in.values[s.Name] = value{s.Default, "default"}
		}
	}
	if src.File != "" {
		in.readFile(src.File)
	}
	readEnviron(src.Environ, in.values, in.fault)
	readFlags(src.Flags, in.values, in.fault)
	for _, s := range Settings {
		if v, given := in.values[s.Name]; given && v.text == "" { // as a compose file passes on a variable that is not set
			delete(in.values, s.Name)
			if s.Default != "" {
				in.values[s.Name] = value{s.Default, "default"}
			}
		}
	}
	if src.NoMail {
		delete(in.values, mailSetting)
	}
	return in.build()
}

// inputs is what the sources say, before it is understood.
type inputs struct {
	values  map[string]value  // of single settings
	policy  policy.File       // the policy.Keys keys
	lines   map[string]string // where each key of policy was set
	written map[string]any    // the keys of policy as they are written
	noMail  bool
	faults  Faults
}

func (in *inputs) fault(setting, source, message string) {
	in.faults = append(in.faults, Fault{Setting: setting, Source: source, Message: message})
}

// build understands the inputs. It does not change them.
func (in inputs) build() (*Config, error) {
	in.faults = slices.Clone(in.faults)
	c := &Config{sources: map[string]string{}, inputs: in}
	for _, s := range Settings {
		v, ok := in.values[s.Name]
		if !ok {
			continue
		}
		c.sources[s.Name] = v.source
		if err := s.set(c, v.text); err != nil {
			in.fault(s.Name, v.source, err.Error())
		}
	}
	c.Policy = in.policy.Policy(func(setting, message string) {
		key, _, _ := strings.Cut(setting, ".")
		in.fault(setting, in.lines[key], message)
	})
	if c.Issuer != nil {
		policy.AddAdminAPI(c.Policy, c.Issuer.String())
		policy.AddSCIM(c.Policy, c.Issuer.String())
	}
	c.Policy.Development = c.Issuer != nil && c.Insecure()
	crossCheck(c, in.values, in.fault)
	if in.noMail {
		in.faults = slices.DeleteFunc(in.faults, func(f Fault) bool { return f.Setting == mailSetting })
	}
	if len(in.faults) > 0 {
		return nil, in.faults
	}
	return c, nil
}

// mailSetting is the one that commands without mail do without.
const mailSetting = "smtp-url"

// crossCheck finds settings that are valid alone but not together.
func crossCheck(c *Config, values map[string]value, fault func(setting, source, message string)) {
	_, database := values["database-url"]
	_, redis := values["redis-url"]
	switch {
	case database && !redis:
		fault("redis-url", "", "is missing: database-url is set, and production needs both Postgres and Redis")
	case redis && !database:
		fault("database-url", "", "is missing: redis-url is set, and production needs both Postgres and Redis")
	}
	_, key := values["key"]
	if _, command := values["key-command"]; command && key {
		fault("key-command", "", "excludes key: set one of them")
	} else if database && !key && !command {
		fault("key", "", "is missing: replicas share one; make it with openssl rand -base64 32 and give every replica "+
			"the same STEPWARD_KEY_FILE")
	}
	if c.KeyVault == "" && strings.Contains(c.Key.Reveal()+c.KeyPrevious.Reveal(), VaultPrefix) {
		fault("key-vault", "", "is missing: a key is a ciphertext of Vault")
	}
	if (c.TLSCertPath == "") != (c.TLSKeyPath == "") {
		fault("tls-cert-path", "", "needs tls-key-path: set both or neither")
	}
	if c.TLSCertPath != "" && c.Issuer != nil && c.Issuer.Scheme != "https" {
		fault("issuer", values["issuer"].source, "is http, but there is a certificate; use https://"+c.Issuer.Host)
	}
	crossCheckOrigins(c, values, fault)
	if c.ShutdownDelay >= c.ShutdownTimeout && c.ShutdownTimeout > 0 {
		fault("shutdown-timeout", values["shutdown-timeout"].source,
			fmt.Sprintf("is not longer than shutdown-delay (%v): no time is left for requests under way", c.ShutdownDelay))
	}
	crossCheckMTLS(c, values, fault)
	crossCheckObserved(c, values, fault)
	for _, scope := range c.RegistrationScopes {
		if _, known := c.Policy.Scopes[scope]; !known {
			fault("registration-scopes", values["registration-scopes"].source, fmt.Sprintf("%q is not among scopes", scope))
		}
		if strings.HasPrefix(scope, policy.OwnScopes) {
			fault("registration-scopes", values["registration-scopes"].source,
				fmt.Sprintf("%q is not for applications that register themselves", scope))
		}
	}
	if (c.StatementIssuer == "") != (c.StatementJWKSPath == "") {
		fault("software-statement-issuer", "", "needs software-statement-jwks-path: set both or neither")
	}
	if _, mail := values["smtp-url"]; c.SignUp && !mail {
		fault("smtp-url", "", "is missing: sign-up is open, and new addresses are verified by e-mail")
	}
	if c.SessionIdle > c.SessionAbsolute && c.SessionAbsolute > 0 {
		fault("session-idle", values["session-idle"].source, "is longer than session-absolute")
	}
	unproven := c.Attestation == "none" || c.MetadataPath == ""
	const unprovable = "needs attestation direct and metadata-path: no model could prove what it is"
	if len(c.AllowedModels) > 0 && unproven {
		fault("passkey-models", values["passkey-models"].source, unprovable)
	}
	if c.PasskeyRules.Proven() && unproven {
		fault("passkey-rules", values["passkey-rules"].source, unprovable)
	}
	if c.MetadataPath != "" && c.Attestation == "none" {
		fault("attestation", values["attestation"].source, "must be direct, or metadata-path has no effect")
	}
}

func crossCheckMTLS(c *Config, values map[string]value, fault func(setting, source, message string)) {
	_, given := values["mtls-origin"]
	switch {
	case c.MTLSOrigin == nil && given: // its own fault is told already
	case c.MTLSOrigin == nil && c.MTLSListen != "":
		fault("mtls-origin", "", "is missing: mtls-listen is set, and clients need its public address")
	case c.MTLSOrigin == nil && c.ClientCAPath != "":
		fault("mtls-origin", "", "is missing: client-ca-path is set, and certificates are requested only there")
	case c.MTLSOrigin == nil:
	case c.Issuer != nil && c.MTLSOrigin.String() == c.Issuer.String():
		fault("mtls-origin", values["mtls-origin"].source,
			"is the issuer, where browsers would ask people for a certificate; use another host or port")
	case c.MTLSListen != "" && c.TLSCertPath == "":
		fault("tls-cert-path", "", "is missing: mtls-listen does TLS itself")
	case c.MTLSListen != "" && sameAddress(c.MTLSListen, c.Listen):
		fault("mtls-listen", values["mtls-listen"].source,
			fmt.Sprintf("%s is already taken by listen (%s); use another port", c.MTLSListen, c.Listen))
	case c.MTLSListen == "" && len(c.TrustedProxies) == 0:
		fault("mtls-listen", "", "is missing: mtls-origin needs this, or a proxy in trusted-proxies")
	}
}

// sameAddress reports whether two listeners cannot both have their address. A host that is not given means all.
func sameAddress(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	all := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	return portA == portB && portA != "0" && (hostA == hostB || all(hostA) || all(hostB))
}

func readFlags(flags map[string]string, values map[string]value, fault func(setting, source, message string)) {
	for _, s := range Settings {
		text, given := flags[s.Flag()]
		if !given {
			continue
		}
		source := "--" + s.Flag()
		if s.Secret {
			content, err := readSecret(text)
			if err != nil {
				fault(s.Name, source, err.Error())
				continue
			}
			text = content
		}
		values[s.Name] = value{text, source}
	}
}

func readEnviron(environ []string, values map[string]value, fault func(setting, source, message string)) {
	env := map[string]string{}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "STEPWARD_") && !strings.HasPrefix(name, "STEPWARD_TEST_") && name != "STEPWARD_CONFIG" {
			env[name] = text
		}
	}
	for _, s := range Settings {
		text, direct := env[s.Env()]
		path, viaFile := env[s.Env()+"_FILE"]
		delete(env, s.Env())
		delete(env, s.Env()+"_FILE")
		switch {
		case direct && viaFile:
			fault(s.Name, s.Env(), "is set twice, as "+s.Env()+" and "+s.Env()+"_FILE; keep one")
		case viaFile:
			content, err := readSecret(path)
			if err != nil {
				fault(s.Name, s.Env()+"_FILE", err.Error())
				continue
			}
			values[s.Name] = value{content, s.Env() + "_FILE"}
		case direct:
			values[s.Name] = value{text, s.Env()}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fault(name, "environment", "is not a setting"+suggest(name, settingNames(Setting.Env)))
	}
}

// readSecret reads a small file without the line break at its end.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", errors.New(FileReason(err))
	}
	if info.Size() > 64<<10 {
		return "", fmt.Errorf("%q is larger than 64 KiB", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", errors.New(FileReason(err))
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

func (in *inputs) readFile(path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		in.fault("config", "--config", FileReason(err))
		return
	}
	in.readYAML(yamlText{"config", path, func(string) bool { return true }}, content)
}

// A yamlText is what faults say of a YAML text, and which of the settings may be in it.
type yamlText struct {
	setting string // names the text itself
	path    string // with line numbers; without them if it is storedPolicy
	take    func(key string) bool
}

func (t yamlText) at(line int) string {
	if t.path == storedPolicy {
		return t.path
	}
	return fmt.Sprintf("%s:%d", t.path, line)
}

func (in *inputs) readYAML(t yamlText, content []byte) {
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		in.fault(t.setting, t.path, "is not YAML: "+parserSays(err))
		return
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return
	}
	mapping, ok := file.Docs[0].Body.(*ast.MappingNode)
	if one, single := file.Docs[0].Body.(*ast.MappingValueNode); single {
		mapping, ok = &ast.MappingNode{Values: []*ast.MappingValueNode{one}}, true
	}
	if !ok {
		in.fault(t.setting, t.path, "must contain settings as key: value")
		return
	}
	for _, entry := range mapping.Values {
		key := entry.Key.GetToken().Value
		source := t.at(entry.Key.GetToken().Position.Line)
		if _, known := policy.Keys[key]; known && t.take(key) {
			in.lines[key] = source
			if entry.Value.Type() != ast.NullType {
				in.readStructured(t, key, entry)
			}
			continue
		}
		i := slices.IndexFunc(Settings, func(s Setting) bool { return s.Name == key })
		if i < 0 || !t.take(key) {
			names := append(settingNames(func(s Setting) string { return s.Name }), slices.Collect(maps.Keys(policy.Keys))...)
			in.fault(key, source, "is not a setting"+suggest(key, slices.DeleteFunc(names, func(name string) bool {
				return !t.take(name)
			})))
			continue
		}
		text, ok := scalarText(entry.Value)
		if _, list := entry.Value.(*ast.SequenceNode); !ok || list && !Settings[i].List {
			want := "a single value"
			if Settings[i].List {
				want = "a list of values"
			}
			in.fault(key, source, "is "+kindOf(entry.Value)+" and must be "+want)
			continue
		}
		in.values[key] = value{text, source}
	}
}

// readStructured reads a key of policy.File. Lines are those of the file.
func (in *inputs) readStructured(t yamlText, key string, entry *ast.MappingValueNode) {
	good := true
	compare := shape{fault: func(setting string, line int, message string) {
		good = false
		in.fault(setting, t.at(line), message)
	}}
	for field := range reflect.TypeFor[policy.File]().Fields() {
		if field.Tag.Get("yaml") == key {
			compare.of(key, entry.Value, field.Type)
		}
	}
	if !good {
		return
	}
	part, err := yaml.Marshal(map[string]any{key: entry.Value})
	if err == nil {
		err = yaml.UnmarshalWithOptions(part, &in.policy, yaml.Strict())
	}
	written := map[string]any{}
	if err == nil {
		err = yaml.Unmarshal(part, &written)
	}
	if err != nil { // a shape that the comparison leaves to the library, such as a wrong alias
		in.fault(key, t.at(entry.Key.GetToken().Position.Line), "has the wrong structure: "+parserSays(err))
		return
	}
	in.written[key] = written[key]
}

// parserSays returns the line and the reason of a fault of the YAML library, and never the text of the file, in which
// there may be passwords.
func parserSays(err error) string {
	if fault, ok := errors.AsType[yaml.Error](err); ok {
		if token := fault.GetToken(); token != nil && token.Position != nil {
			return fmt.Sprintf("line %d: %s", token.Position.Line, fault.GetMessage())
		}
		return fault.GetMessage()
	}
	return oneLine(err)
}

// scalarText returns a scalar as written, or a list of scalars joined by commas.
func scalarText(node ast.Node) (string, bool) {
	switch node := node.(type) {
	case *ast.SequenceNode:
		var items []string
		for _, item := range node.Values {
			text, ok := scalarText(item)
			if !ok {
				return "", false
			}
			items = append(items, text)
		}
		return strings.Join(items, ","), true
	case *ast.StringNode:
		return node.Value, true
	case *ast.NullNode:
		return "", true
	case ast.ScalarNode:
		return node.GetToken().Value, true
	}
	return "", false
}

func settingNames(name func(Setting) string) []string {
	var names []string
	for _, s := range Settings {
		names = append(names, name(s))
	}
	return names
}

// suggest returns a hint at the setting that a misspelt one probably meant.
func suggest(name string, known []string) string {
	for _, candidate := range known {
		if near(name, candidate) {
			return "; did you mean " + candidate + "?"
		}
	}
	return ""
}

// near reports whether two words differ by at most two edits.
func near(a, b string) bool {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			previous, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, previous+cost)
		}
	}
	return row[len(b)] <= 2
}
