package directory

// Profile holds the optional standard claims of a user besides name and e-mail (OIDC Core §5.1).
type Profile struct {
	GivenName         string  `json:"given_name,omitempty"`
	FamilyName        string  `json:"family_name,omitempty"`
	MiddleName        string  `json:"middle_name,omitempty"`
	Nickname          string  `json:"nickname,omitempty"`
	PreferredUsername string  `json:"preferred_username,omitempty"`
	URL               string  `json:"profile,omitempty"`
	Picture           string  `json:"picture,omitempty"`
	Website           string  `json:"website,omitempty"`
	Gender            string  `json:"gender,omitempty"`
	Birthdate         string  `json:"birthdate,omitempty"`
	Zoneinfo          string  `json:"zoneinfo,omitempty"`
	Locale            string  `json:"locale,omitempty"`
	PhoneNumber       string  `json:"phone_number,omitempty"`
	PhoneVerified     bool    `json:"phone_number_verified,omitempty"`
	Address           Address `json:"address,omitzero"`
}

// Address is the address claim (OIDC Core §5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}
