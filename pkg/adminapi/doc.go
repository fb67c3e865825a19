// Package adminapi is the Go client of Stepward's API for administration: users, groups, claims, clients and events.
//
//	api, err := adminapi.New("https://id.example.com", adminapi.Credentials{ClientID: "robot", Secret: secret})
//	user, err := api.Users.Create(ctx, adminapi.NewUser{Email: "ada@example.org"})
//
// Errors of the server are a [*Problem]. Lists are iterators that fetch page after page. A method that creates
// something sends an Idempotency-Key and repeats a request whose answer was lost, so that it happens once.
package adminapi
