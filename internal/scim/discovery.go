package scim

import (
	"context"
	"slices"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/scim/resource"
)

// The documents of RFC 7644 §4, in the form of RFC 7643 §5 to §7.

func (s discovery) place(kind, path string) resource.Document {
	return resource.Document{"resourceType": kind, "location": s.cfg.Issuer + directory.PathSCIM + path}
}

func (s discovery) providerConfig(context.Context, *request) (*answer, error) {
	type supported struct {
		Supported bool `json:"supported"`
	}
	doc := resource.Document{
		"schemas":        []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":          supported{true},
		"bulk":           resource.Document{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":         resource.Document{"supported": true, "maxResults": maxFound},
		"changePassword": supported{false}, "sort": supported{false}, "etag": supported{true},
		"pagination": resource.Document{ // RFC 9865 §4
			"cursor": true, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": pageSize,
			"maxPageSize": maxPage,
		},
		"authenticationSchemes": []resource.Document{{
			"type": "oauthbearertoken", "name": "OAuth 2.0 access token", "primary": true,
			"description": "A token of the client_credentials grant for the resource " + s.door.Resource() +
				" with the scope " + directory.ScopeSCIM,
			"specUri": "https://www.rfc-editor.org/rfc/rfc6750",
		}},
		"meta": s.place("ServiceProviderConfig", "/ServiceProviderConfig"),
	}
	return &answer{doc: doc}, nil
}

// all returns a list of everything.
func all(docs []resource.Document) *answer {
	total := len(docs)
	return &answer{doc: listResponse{
		Schemas: []string{resource.MessageList}, Total: &total, StartIndex: 1, PerPage: total, Resources: docs,
	}}
}

// one returns the document with an ID.
func one(docs []resource.Document, id string) (*answer, error) {
	i := slices.IndexFunc(docs, func(doc resource.Document) bool { return doc["id"] == id })
	if i < 0 {
		return nil, idp.ErrNotFound
	}
	return &answer{doc: docs[i]}, nil
}

func (s discovery) types() (docs []resource.Document) {
	for _, k := range []resource.Kind{resource.User, resource.Group} {
		doc := resource.Document{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": k.Name, "name": k.Name,
			"endpoint": k.Path, "schema": k.Schema, "meta": s.place("ResourceType", "/ResourceTypes/"+k.Name),
		}
		if k.Extension != "" {
			doc["schemaExtensions"] = []resource.Document{{"schema": k.Extension, "required": false}}
		}
		docs = append(docs, doc)
	}
	return docs
}

func (s discovery) resourceTypes(_ context.Context, r *request) (*answer, error) {
	return all(s.types()), unfiltered(r)
}

func (s discovery) resourceType(_ context.Context, r *request) (*answer, error) {
	return one(s.types(), r.PathValue("name"))
}

func (s discovery) schemaList() []resource.Document {
	var docs []resource.Document
	for _, of := range []struct {
		id, name, description string
		attributes            []resource.Attribute
	}{
		{resource.SchemaUser, "User", "User account", resource.User.Attributes},
		{resource.SchemaEnterprise, "EnterpriseUser", "What an organisation says of a user", resource.User.Extended},
		{resource.SchemaGroup, "Group", "Group of users", resource.Group.Attributes},
	} {
		docs = append(docs, resource.Document{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": of.id, "name": of.name,
			"description": of.description, "attributes": of.attributes, "meta": s.place("Schema", "/Schemas/"+of.id),
		})
	}
	return docs
}

func (s discovery) schemas(_ context.Context, r *request) (*answer, error) {
	return all(s.schemaList()), unfiltered(r)
}

func (s discovery) schema(_ context.Context, r *request) (*answer, error) {
	return one(s.schemaList(), r.PathValue("id"))
}

// unfiltered refuses a filter, as RFC 7644 §4 demands of these lists.
func unfiltered(r *request) error {
	if r.URL.Query().Has("filter") {
		return &resource.Failure{Status: 403, Detail: "this list cannot be filtered"}
	}
	return nil
}
