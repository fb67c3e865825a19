package scim

import (
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/scim/resource"
	"github.com/stepward/stepward/internal/store/managed"
)

// indexed are the attributes that an index finds by eq, and what package managed calls them.
var indexed = map[string]string{
	"id": "id", "userName": "userName", "externalId": "externalId", "displayName": "displayName", "emails": "email",
	"emails.value": "email", "members": "member", "members.value": "member",
}

// keysOf returns keys that find all resources which the filter can select; false: no index finds them.
func keysOf(f *resource.Filter, k resource.Kind, clientID string) ([]managed.Key, bool) {
	switch f.Op {
	case "and":
		if keys, ok := keysOf(f.Left, k, clientID); ok {
			return keys, true
		}
		return keysOf(f.Right, k, clientID)
	case "or":
		left, ok1 := keysOf(f.Left, k, clientID)
		right, ok2 := keysOf(f.Right, k, clientID)
		return append(left, right...), ok1 && ok2
	case "[]": // emails[type eq "work" and value eq "…"]
		return within(f.Left, k, f.Path.Attr.Name, clientID)
	case "eq":
		name := f.Path.Attr.Name
		if f.Path.Sub != nil {
			name += "." + f.Path.Sub.Name
		}
		return keyOf(k, name, f, clientID)
	}
	return nil, false
}

// within is keysOf for the filter of a value path.
func within(f *resource.Filter, k resource.Kind, attr, clientID string) ([]managed.Key, bool) {
	switch f.Op {
	case "and":
		if keys, ok := within(f.Left, k, attr, clientID); ok {
			return keys, true
		}
		return within(f.Right, k, attr, clientID)
	case "or":
		left, ok1 := within(f.Left, k, attr, clientID)
		right, ok2 := within(f.Right, k, attr, clientID)
		return append(left, right...), ok1 && ok2
	case "eq":
		return keyOf(k, attr+"."+f.Path.Attr.Name, f, clientID)
	}
	return nil, false
}

func keyOf(k resource.Kind, name string, f *resource.Filter, clientID string) ([]managed.Key, bool) {
	value, isText := f.Value.(string)
	of, ok := indexed[name]
	if !ok || !isText || f.Path.Extension != "" || k.Name == "User" && of == "displayName" {
		return nil, false
	}
	if of == "email" {
		if value, ok = directory.NormalizeEmail(value); !ok {
			return nil, true // no account has it
		}
	}
	keys := []managed.Key{{Of: of, Value: value, ClientID: clientID}}
	if email, isEmail := directory.NormalizeEmail(value); of == "userName" && isEmail {
		keys = append(keys, managed.Key{Of: "email", Value: email}) // who has no other user name
	}
	return keys, true
}
