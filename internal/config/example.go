package config

// Example is the YAML file in the documentation. A test loads it.
const Example = `issuer: https://id.example.com
listen: ":8080"
trusted-proxies: [10.0.0.0/8]
action-classes:
  payments:
    description: make a payment
    acr: phr
    window: 5m
scopes:
  payouts:
    description: Pay out money on your behalf
    action-class: payments
resources:
  https://api.example.com:
    scopes: [payouts]
    access-token-ttl: 5m
authorization-details-types:
  payment_initiation:
    description: Pay {amount.value} {amount.currency} to {creditor}
    action-class: payments
    schema:
      type: object
      required: [type, amount, creditor]
      additionalProperties: false
      properties:
        type: {const: payment_initiation}
        creditor: {type: string, maxLength: 100}
        amount:
          type: object
          required: [value, currency]
          additionalProperties: false
          properties:
            value: {type: string, pattern: '^[0-9]{1,9}\.[0-9]{2}$'}
            currency: {enum: [EUR, USD]}
acr-aliases:
  urn:example:gold:
    acr: phrh
    max-age: 5m
acr-decay:
  phrh:
    absolute: 12h
    idle: 15m
`
