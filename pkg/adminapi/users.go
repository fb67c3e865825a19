package adminapi

import "time"

// A User is a person with an account.
type User struct {
	ID            string     `json:"id" readOnly:"true" doc:"The subject of their tokens."`
	Email         string     `json:"email" doc:"Unique, in lower case."`
	EmailVerified bool       `json:"email_verified" doc:"The person has shown that the address is theirs."`
	Name          string     `json:"name"`
	Role          string     `json:"role" enum:"none,auditor,support,admin,owner" doc:"What they may do at the provider itself."`
	Profile       Profile    `json:"profile"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	DisabledAt    *time.Time `json:"disabled_at,omitempty" doc:"Missing: not disabled."`
	RecoveredAt   *time.Time `json:"recovered_at,omitempty" doc:"When the account was last recovered."`
}

// A Profile has the optional standard claims of a user (OIDC Core §5.1).
type Profile struct {
	GivenName         string   `json:"given_name,omitempty" maxLength:"200"`
	FamilyName        string   `json:"family_name,omitempty" maxLength:"200"`
	MiddleName        string   `json:"middle_name,omitempty" maxLength:"200"`
	Nickname          string   `json:"nickname,omitempty" maxLength:"200"`
	PreferredUsername string   `json:"preferred_username,omitempty" maxLength:"200"`
	URL               string   `json:"profile,omitempty" maxLength:"2000"`
	Picture           string   `json:"picture,omitempty" maxLength:"2000"`
	Website           string   `json:"website,omitempty" maxLength:"2000"`
	Gender            string   `json:"gender,omitempty" maxLength:"200"`
	Birthdate         string   `json:"birthdate,omitempty" maxLength:"40"`
	Zoneinfo          string   `json:"zoneinfo,omitempty" maxLength:"100"`
	Locale            string   `json:"locale,omitempty" maxLength:"40"`
	PhoneNumber       string   `json:"phone_number,omitempty" maxLength:"40"`
	PhoneVerified     bool     `json:"phone_number_verified,omitempty"`
	Address           *Address `json:"address,omitempty"`
}

// An Address is the address claim (OIDC Core §5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty" maxLength:"1000"`
	StreetAddress string `json:"street_address,omitempty" maxLength:"500"`
	Locality      string `json:"locality,omitempty" maxLength:"200"`
	Region        string `json:"region,omitempty" maxLength:"200"`
	PostalCode    string `json:"postal_code,omitempty" maxLength:"40"`
	Country       string `json:"country,omitempty" maxLength:"200"`
}

// A NewUser is a user to create.
type NewUser struct {
	Email         string   `json:"email" maxLength:"254"`
	Name          string   `json:"name,omitempty" maxLength:"200" doc:"Missing: the part of the address before the @."`
	Role          string   `json:"role,omitempty" enum:"none,auditor,support,admin,owner" doc:"Missing: none."`
	EmailVerified bool     `json:"email_verified,omitempty"`
	Groups        []string `json:"groups,omitempty" maxItems:"1000" doc:"Names of groups."`
	Profile       *Profile `json:"profile,omitempty"`
}

// A UserChange changes a user. Nil fields stay as they are.
type UserChange struct {
	Name          *string  `json:"name,omitempty" maxLength:"200"`
	Email         *string  `json:"email,omitempty" maxLength:"254"`
	EmailVerified *bool    `json:"email_verified,omitempty"`
	Role          *string  `json:"role,omitempty" enum:"none,auditor,support,admin,owner"`
	Profile       *Profile `json:"profile,omitempty" doc:"Replaces the whole profile."`
}

// A NewInvitation invites a new user, or one who has no passkey yet.
type NewInvitation struct {
	NewUser
	TTL  int  `json:"ttl,omitempty" minimum:"300" maximum:"604800" default:"604800" doc:"Lifetime of the link in seconds."`
	Mail bool `json:"mail,omitempty" doc:"Send the link to the address. It is then not in the answer, because opening it confirms the address."`
}

// An Invitation is a one-time link that gives an account to the first browser that opens it.
type Invitation struct {
	User  User      `json:"user"`
	Link  string    `json:"link,omitempty" doc:"Shown once. Give it only to this person."`
	Until time.Time `json:"until"`
	New   bool      `json:"new" doc:"The user was created."`
}

// A RecoveryLinkOrder asks for a link with which a user who lost all passkeys creates a new one.
type RecoveryLinkOrder struct {
	TTL    int  `json:"ttl,omitempty" minimum:"300" maximum:"86400" default:"3600" doc:"Lifetime in seconds."`
	PIN    bool `json:"pin,omitempty" doc:"The link needs a PIN as well, which you tell them in another way."`
	Second bool `json:"second,omitempty" doc:"The link works once another admin has approved it."`
}

// A RecoveryLink is a one-time link. It gives the account away.
type RecoveryLink struct {
	Link   string    `json:"link" doc:"Shown once. Give it only to this person."`
	PIN    string    `json:"pin,omitempty" doc:"Shown once."`
	Until  time.Time `json:"until"`
	Second bool      `json:"second,omitempty" doc:"It works once another admin has approved it."`
}

// A Passkey is what is known about a passkey, without keys.
type Passkey struct {
	ID             string     `json:"id"`
	Name           string     `json:"name"`
	AAGUID         string     `json:"aaguid" doc:"The model of the authenticator, as it claims."`
	Synced         bool       `json:"synced" doc:"Its provider may copy it to other devices."`
	HardwareBound  bool       `json:"hardware_bound" doc:"Attested hardware: it can reach phrh."`
	Transports     []string   `json:"transports"`
	CreatedAt      time.Time  `json:"created_at"`
	CreatedAgent   string     `json:"created_agent,omitempty"`
	LastUsedAt     *time.Time `json:"last_used_at,omitempty"`
	LastAgent      string     `json:"last_agent,omitempty"`
	SuspendedAt    *time.Time `json:"suspended_at,omitempty" doc:"A recovery suspended it."`
	CounterFellAt  *time.Time `json:"counter_fell_at,omitempty" doc:"Its signature counter went backwards."`
	AttestationFmt string     `json:"attestation_format,omitempty"`
}

// A Session is a browser in which a user is signed in.
type Session struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Agent     string    `json:"agent,omitempty"`
	Address   string    `json:"address,omitempty"`
	AuthTime  time.Time `json:"auth_time" doc:"The last ceremony with a passkey."`
}

// Ended says how many sessions ended.
type Ended struct {
	Sessions int  `json:"sessions"`
	Already  bool `json:"already,omitempty" doc:"The account was disabled before."`
}

// An Application is what a user allowed a client.
type Application struct {
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// GroupNames are the groups that a user is put into directly.
type GroupNames struct {
	Groups []string `json:"groups" maxItems:"1000" doc:"Names of groups."`
}
