package store

var Dialer = dialer

const TCPUserTimeout = tcpUserTimeout
