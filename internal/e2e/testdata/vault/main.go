// Vault runs the OIDC method of Vault (vault-plugin-auth-jwt) without the rest of Vault. Each line of its standard
// input is a request to the method, and each line of its output the answer.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/hashicorp/go-hclog"
	jwtauth "github.com/hashicorp/vault-plugin-auth-jwt"
	"github.com/hashicorp/vault/sdk/logical"
)

type request struct {
	Operation logical.Operation
	Path      string
	Data      map[string]any
}

type answer struct {
	Data     map[string]any `json:"data,omitempty"`
	Alias    string         `json:"alias,omitempty"` // of the person
	Groups   []string       `json:"groups,omitempty"`
	Policies []string       `json:"policies,omitempty"`
	Error    string         `json:"error,omitempty"`
}

func main() {
	ctx := context.Background()
	storage := &logical.InmemStorage{}
	method, err := jwtauth.Factory(ctx, &logical.BackendConfig{
		Logger: hclog.New(&hclog.LoggerOptions{Output: os.Stderr}), System: &logical.StaticSystemView{},
		StorageView: storage, BackendUUID: "oidc",
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := method.Initialize(ctx, &logical.InitializationRequest{Storage: storage}); err != nil {
		log.Fatal(err)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r request
		if in.Decode(&r) != nil {
			return
		}
		if err := out.Encode(handle(ctx, method, storage, r)); err != nil {
			log.Fatal(err)
		}
	}
}

func handle(ctx context.Context, method logical.Backend, storage logical.Storage, r request) (a answer) {
	req := &logical.Request{
		Operation: r.Operation, Path: r.Path, Data: r.Data, Storage: storage, Connection: &logical.Connection{},
		MountPoint: "auth/oidc/", MountAccessor: "oidc",
	}
	if r.Operation == logical.UpdateOperation { // as Vault tells a write of something new from a change
		if checks, exists, err := method.HandleExistenceCheck(ctx, req); err == nil && checks && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	resp, err := method.HandleRequest(ctx, req)
	switch {
	case err != nil:
		a.Error = err.Error()
	case resp.IsError():
		a.Error = resp.Error().Error()
	case resp != nil:
		a.Data = resp.Data
		if resp.Auth != nil {
			a.Alias, a.Policies = resp.Auth.Alias.Name, resp.Auth.Policies
			for _, g := range resp.Auth.GroupAliases {
				a.Groups = append(a.Groups, g.Name)
			}
		}
	}
	return a
}
