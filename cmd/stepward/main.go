// Stepward is an OpenID Connect provider in which every proof is a passkey. This command runs and manages it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stepward/stepward/internal/apply"
	"github.com/stepward/stepward/internal/backup"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/manage/clients"
	"github.com/stepward/stepward/internal/manage/groups"
	"github.com/stepward/stepward/internal/manage/rules"
	"github.com/stepward/stepward/internal/manage/users"
	"github.com/stepward/stepward/internal/movein"
	"github.com/stepward/stepward/internal/provision/commands"
	"github.com/stepward/stepward/internal/secrets"
)

// cli is the command line. The settings of internal/config are added as flags.
type cli struct {
	Config string `name:"config" env:"STEPWARD_CONFIG" placeholder:"FILE" help:"YAML file with settings; see docs/configuration.md."`

	Serve        serveCmd              `cmd:"" help:"Run the provider. Without settings: embedded stores in ./stepward-data, on http://localhost:8080."`
	Demo         demoCmd               `cmd:"" help:"Run the provider and a sample application with temporary data, to try it out."`
	Migrate      migrateCmd            `cmd:"" help:"Update the database schema. serve does this itself."`
	Client       clientCmd             `cmd:"" help:"Register and manage client applications."`
	User         users.User            `cmd:"" help:"List, invite, disable and enable users."`
	Group        groups.Group          `cmd:"" help:"Create groups and put users into them."`
	Claim        rules.Claim           `cmd:"" help:"Define claims of your own."`
	Explain      rules.Explain         `cmd:"" help:"Say what an authorization request leads to, check by check."`
	Lint         rules.Lint            `cmd:"" help:"Find settings and clients that can never work."`
	Events       rules.Events          `cmd:"" help:"List what happened: sign-ins, changes, refusals."`
	Policy       rules.Policy          `cmd:"" help:"Show and change scopes, action classes and other policy while the provider runs."`
	Apply        apply.Apply           `cmd:"" help:"Bring clients, groups, claims, policy and roles into the state that a file describes."`
	Export       apply.Export          `cmd:"" help:"Write the file for apply that describes what is there."`
	Provisioning commands.Provisioning `cmd:"" help:"Send people and groups to applications over SCIM 2.0."`
	Keys         manage.Keys           `cmd:"" help:"List and rotate signing keys."`
	Backup       backup.Backup         `cmd:"" help:"Write the embedded store into one file, while the server runs."`
	Restore      backup.Restore        `cmd:"" help:"Put a backup into the data folder, and end its sessions and tokens."`
	Import       movein.Import         `cmd:"" help:"Move in from another provider: its users, groups, clients, and the passkeys that people have."`
	Copy         backup.Copy           `cmd:"" help:"Copy everything from the embedded store into Postgres, or back."`
	CheckConfig  configCmd             `cmd:"" name:"config" help:"Check the settings."`
	Version      versionCmd            `cmd:"" help:"Print the version."`
	Healthcheck  healthcheckCmd        `cmd:"" help:"Exit with 0 if the provider with these settings is healthy; for container health checks."`
}

// clientCmd adds what has a package of its own to the commands for clients.
type clientCmd struct {
	clients.Client
	Secret secrets.Secret `cmd:"" help:"Add, list and end the secrets of a client, to rotate them without an outage."`
}

// settingsGroup puts the flags of all settings into a group of the help text.
const settingsGroup = `group:"Settings (flag, STEPWARD_… variable, or key of the --config file; docs/configuration.md)"`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Environ())
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = nil // stopped on request
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stepward: "+err.Error())
		if coded, ok := errors.AsType[interface {
			error
			ExitCode() int
		}](err); ok {
			os.Exit(coded.ExitCode())
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args, environ []string) error {
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if args[0] != "serve" && args[0] != "demo" { // thirty settings would hide the command's own flags
		for _, flag := range parser.Model.Flags {
			flag.Hidden = flag.Hidden || flag.Group != nil
		}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return explain(err)
	}
	given := map[string]string{}
	for _, step := range parsed.Path {
		if step.Flag != nil && step.Flag.Group != nil {
			given[step.Flag.Name] = step.Flag.Target.String()
		}
	}
	return parsed.Run(manage.NewEnv(ctx, config.Sources{Flags: given, Environ: environ, File: c.Config}, version()))
}

// newParser returns the parser of the command line: its commands, and the settings as flags. It fills c.
func newParser(c *cli) (*kong.Kong, error) {
	flags := settingFlags()
	return kong.New(c,
		kong.Name("stepward"),
		kong.Description("An OpenID Connect provider in which every proof is a passkey.\n\n"+
			"Try it: stepward demo. Run it: stepward serve. Documentation: docs/operate.md.\n\n"+
			"Commands print text, or JSON with --output json. Those of administration work on the store, or with --api URL "+
			"over the admin API of a running server (docs/admin.md)."),
		kong.Embed(flags.Interface(), settingsGroup),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
		kong.KindMapper(reflect.Int, kong.MapperFunc(decodeInt)),
		kong.KindMapper(reflect.Int64, kong.MapperFunc(decodeInt)),
	)
}

// settingFlags returns a struct with one string field per setting, which kong reads as flags.
func settingFlags() reflect.Value {
	var fields []reflect.StructField
	for i, s := range config.Settings {
		help := s.Help
		if s.Default != "" {
			help += " Default: " + s.Default + "."
		}
		placeholder := "VALUE"
		if s.Secret {
			placeholder = "FILE"
		}
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("S%d", i), Type: reflect.TypeFor[string](),
			Tag: reflect.StructTag(fmt.Sprintf(`name:%q help:%q placeholder:%q`, s.Flag(), help, placeholder)),
		})
	}
	return reflect.New(reflect.StructOf(fields))
}

type versionCmd struct{ manage.Output }

func (c versionCmd) Run() error {
	return c.Say(map[string]string{"version": version()}, "stepward "+version())
}

// release is set when an image is built: -ldflags "-X main.release=v1.2.3".
var release string

// version returns the release, or else the module version or commit that the Go tool recorded.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if release != "" {
		return release
	}
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v + " " + info.GoVersion
}
