package adminapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/store/provisioning"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A ProvisioningAnswer is the answer with how people are sent to a client.
type ProvisioningAnswer struct {
	ETag string `header:"ETag"`
	Body adminapi.Provisioning
}

// A NewProvisioning is the input that says how people are sent to a client.
type NewProvisioning struct {
	OfID
	Conditional
	Body adminapi.NewProvisioning
}

// present returns the version of what it changes.
func (in *NewProvisioning) present(ctx context.Context, ops *admin.Operations) (time.Time, error) {
	t, err := provisioning.New(ops.DB()).Target(ctx, in.ID)
	return t.UpdatedAt, err
}

// sending is what needs a scope for users: it tells another server, or the caller, who they are.
const sending = "sending people to a client"

var summaries = map[string]string{
	"pause": "Send nobody until it is resumed", "resume": "Send people again", "sync": "Send everything again",
}

// provisioning adds the operations on clients that people are sent to over SCIM.
func (a *API) provisioning(api huma.API) {
	sends, read, write := a.cfg.Provisioning, adminapi.ScopeClientsRead, adminapi.ScopeClientsWrite
	const tag, path = "clients", "/clients/{id}/provisioning"
	type by struct{ By }
	register(api, operation{
		"list-provisioned", "GET", "/provisioning", "List the clients that people are sent to over SCIM", tag, read, 0, false,
	}, func(ctx context.Context, in *by) (*Listed[adminapi.Provisioned], error) {
		found, err := sends.List(ctx, in.actor)
		return listed(found, "", provision.View.Brief), err
	})
	register(api, operation{
		"get-provisioning", "GET", path, "Read how people are sent to a client over SCIM", tag, read, 0, false,
	}, func(ctx context.Context, in *OfID) (*ProvisioningAnswer, error) {
		v, err := sends.Get(ctx, in.actor, in.ID)
		return &ProvisioningAnswer{etag(v.UpdatedAt), v.Wire()}, err
	})
	register(api, operation{
		"set-provisioning", "PUT", path, "Send people to a client over SCIM, or change how", tag, write, 0, false,
	}, func(ctx context.Context, in *NewProvisioning) (*ProvisioningAnswer, error) {
		if err := in.needs(adminapi.ScopeUsersRead, sending); err != nil {
			return nil, err
		}
		if _, err := a.reach(ctx, &in.OfID); err != nil {
			return nil, err
		}
		v, err := sends.Set(ctx, in.actor, in.ID, provision.InputOf(in.Body), in.version)
		return &ProvisioningAnswer{etag(v.UpdatedAt), v.Wire()}, err
	})
	register(api, operation{
		"remove-provisioning", "DELETE", path, "Send no people to a client any more; its accounts stay", tag, write,
		http.StatusNoContent, false,
	}, func(ctx context.Context, in *OnClient) (*Empty, error) {
		if _, err := a.reach(ctx, &in.OfID); err != nil {
			return nil, err
		}
		return &Empty{}, sends.Remove(ctx, in.actor, in.ID)
	})
	for name, change := range map[string]func(context.Context, admin.Actor, string) error{
		"pause": sends.Pause, "resume": sends.Resume, "sync": sends.SendAll,
	} {
		register(api, operation{
			name + "-provisioning", "POST", path + "/" + name, summaries[name], tag, write, 0, false,
		}, func(ctx context.Context, in *OnClient) (*ProvisioningAnswer, error) {
			if _, err := a.reach(ctx, &in.OfID); err != nil {
				return nil, err
			}
			if err := change(ctx, in.actor, in.ID); err != nil {
				return nil, err
			}
			v, err := sends.Get(ctx, in.actor, in.ID)
			return &ProvisioningAnswer{etag(v.UpdatedAt), v.Wire()}, err
		})
	}
	type preview struct{ Body adminapi.ProvisioningPreview }
	register(api, operation{
		"preview-provisioning", "GET", path + "/preview", "Say what would be sent now", tag, read, 0, false,
	}, func(ctx context.Context, in *OfID) (*preview, error) {
		if err := in.needs(adminapi.ScopeUsersRead, sending); err != nil {
			return nil, err
		}
		found, err := sends.Preview(ctx, in.actor, in.ID)
		return &preview{found.Wire()}, err
	})
}
