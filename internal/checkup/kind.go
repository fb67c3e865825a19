package checkup

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

// Kind returns in sentences which passkeys a user may add; none: all. Pages say it before the ceremony.
func (s *Service) Kind(ctx context.Context, u idp.User) ([]words.Text, error) {
	need, err := s.Need(ctx, u)
	if err != nil {
		return nil, err
	}
	rules := s.cfg.Ceremonies.Rules()
	var kind []words.Text
	if need.DeviceBound || rules.DeviceBound {
		kind = append(kind, words.T("kind.devicebound"))
	}
	if need.Proven {
		kind = append(kind, words.T("kind.proven"))
	}
	kind = append(kind, s.models(need.Allowed, need.Forbidden)...)
	if len(rules.Allowed) == 0 {
		rules.Allowed = nil // for a need, an empty list means none
	}
	return append(kind, s.models(rules.Allowed, rules.Forbidden)...), nil
}

// models returns sentences about the models of a directory.PasskeyNeed.
func (s *Service) models(allowed, forbidden []uuid.UUID) (sentences []words.Text) {
	switch {
	case allowed == nil:
	case len(allowed) == 0:
		sentences = append(sentences, words.T("kind.none"))
	default:
		sentences = append(sentences, words.T("kind.allowed", "models", s.modelNames(allowed)))
	}
	if len(forbidden) > 0 {
		sentences = append(sentences, words.T("kind.forbidden", "models", s.modelNames(forbidden)))
	}
	return sentences
}

// modelNames lists the names of models, each once.
func (s *Service) modelNames(models []uuid.UUID) string {
	var names []string
	for _, id := range models {
		if name := s.cfg.Ceremonies.ModelName(id); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
